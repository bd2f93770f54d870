package traffic

import (
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/proxyproto"
	"countersign.dev/internal/wire/tlsname"
)

// What targets are told by a PROXY header holds for a whole connection, so that
// clients do not share those to such targets. All of this is done under
// s.standing, and costs nothing for other groups.

// apart returns the client's own connections to targets, nil for a group whose
// targets are not told of clients that way.
func (s *session) apart(group *upstream.Group) *upstream.Private {
	if group == nil || !group.Private() {
		return nil
	}
	if s.private == nil {
		s.private = upstream.NewPrivate(s.tells())
	}
	return s.private
}

// tellAnew ends the client's own connections if targets would be told otherwise now.
func (s *session) tellAnew() {
	if s.private != nil && !s.private.Client().Equal(s.tells()) {
		s.private.Close()
		s.private = nil
	}
}

// hangUp ends them for good.
func (s *session) hangUp() {
	s.standing.Lock()
	own := s.private
	s.private = nil
	s.standing.Unlock()
	if own != nil {
		own.Close()
	}
}

// tells is what a PROXY header can say of the connection.
func (s *session) tells() *proxyproto.Connection {
	c := &proxyproto.Connection{Source: s.from(), Destination: addrPort(s.raw.LocalAddr()), UniqueID: s.trace.String()}
	if s.proxy != nil && !s.proxy.Local {
		c.Destination, c.Passed = s.proxy.Destination, s.proxy.passed
	}
	for _, t := range s.snap.Texts {
		c.Own = append(c.Own, proxyproto.Own{Template: t.Source(), Value: t.Render(s.client, s.describe())})
	}
	if told := s.voucher().TLS(); told != nil { // the client's connection, not that of the balancer to us
		c.Authority, c.TLS = s.proxy.Authority, told
		return c
	}
	if s.listener.TLS == nil {
		c.Authority = s.shook.ServerName // seen in bytes that are passed on, if any was
		return c
	}
	state := &s.shook.State
	c.ALPN, c.Authority = state.NegotiatedProtocol, s.shook.ServerName
	c.TLS = &proxyproto.TLS{
		Version: tlsname.Version(state.Version), Cipher: tlsname.Cipher(state.CipherSuite), Group: tlsname.Group(state.CurveID),
		Resumed: state.DidResume,
	}
	if shown := s.shook.Shown; shown != nil {
		c.TLS.SigAlg, c.TLS.KeyAlg = tlsname.Signature(shown.SignatureAlgorithm), tlsname.Key(shown.PublicKey)
		c.TLS.SigScheme = s.shook.SignedBy
	}
	if id := s.client.Identity(); id != nil {
		c.TLS.Presented, c.TLS.Verified = true, s.client.Verified()
		if len(id.CommonNames) > 0 {
			c.TLS.CommonName = id.CommonNames[0]
		}
		if leaf := s.client.Chain().Leaf(); leaf != nil {
			c.TLS.Certificate = leaf.Raw
		}
	}
	return c
}

// describe says what a dialect may tell about the connection itself.
func (s *session) describe() idheader.Connection {
	c := idheader.Connection{ServerName: s.shook.ServerName}
	if told := s.voucher().TLS(); told != nil { // the client's, not the balancer's
		c.ServerName, c.TLSVersion, c.TLSCipher = s.proxy.Authority, told.Version, told.Cipher
	} else if s.listener.TLS != nil {
		c.TLSVersion, c.TLSCipher = tlsname.Version(s.shook.State.Version), tlsname.Cipher(s.shook.State.CipherSuite)
	}
	return c
}
