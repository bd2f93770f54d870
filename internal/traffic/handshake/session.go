package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strconv"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/handshake/servername"
	"countersign.dev/internal/traffic/handshake/ticket"
	"countersign.dev/internal/traffic/verify"
)

// acmeProtocol is the ALPN name of RFC 8737: a client that offers it alone
// wants a certificate validated, not served.
const acmeProtocol = "acme-tls/1"

// A session is the record of one handshake. crypto/tls calls its methods one
// after the other on the goroutine that makes the handshake.
type session struct {
	server *Server
	line   *line
	ctx    context.Context // ends, as time does at until, the handshake
	until  time.Time

	profile    *profile // from the ClientHello on
	deciding   *Policy  // newer than the profile's; nil: that decides
	serverName string
	shown      *x509.Certificate // ours; nil on a resumption, which shows none
	key        witness           // of shown
	offered    []string          // by ALPN, if that is told

	// refusal is a reason of our own to end the handshake, found before the
	// client's certificate came into it.
	refusal *countersign.Denial

	decided bool
	chain   verify.Chain
	denial  *countersign.Denial

	// began is the session's first full handshake: this one, or the one of
	// the ticket that was resumed.
	began time.Time
}

// remains are what crypto/tls keeps of a handshake for as long as the connection
// lasts: its callbacks lead to the session by way of them, so that the session
// does not last as long.
type remains struct {
	config  tls.Config
	line    line
	session *session // nil when the handshake is over
}

func (k *remains) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return k.session.pick(hello)
}
func (k *remains) verify(cs tls.ConnectionState) error { return k.session.verify(cs) }
func (k *remains) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	return k.session.wrap(cs, ss)
}
func (k *remains) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	return k.session.unwrap(identity, cs)
}

// sessionKey finds the remains in the context of a ClientHelloInfo: no other
// value of the caller's travels through a handshake.
type sessionKey struct{}

// configForClient is tls.Config.GetConfigForClient.
func configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	k, ok := hello.Context().Value(sessionKey{}).(*remains)
	if !ok {
		return nil, countersign.Deny(countersign.StageHandshake, countersign.HandshakeFailed, "a handshake without a record")
	}
	return k.choose(hello), nil
}

// choose makes the configuration for one connection, in place: no lock that all
// would share, as with tls.Config.Clone.
func (k *remains) choose(hello *tls.ClientHelloInfo) *tls.Config {
	h := k.session
	s := h.server
	c := &k.config
	c.MinVersion, c.MaxVersion = s.template.tls.MinVersion, s.template.tls.MaxVersion
	c.CipherSuites, c.CurvePreferences = s.template.tls.CipherSuites, s.template.tls.Groups
	c.Time = s.now
	// Small first records help browsers paint; here they would cost every
	// connection a thousand system calls before it gets up to speed.
	c.DynamicRecordSizingDisabled = true
	c.SessionTicketsDisabled = true
	c.VerifyConnection = k.verify

	name, err := servername.Normalize(hello.ServerName)
	if err != nil {
		// Without a certificate crypto/tls answers unrecognized_name (RFC 6066 section 3).
		h.refusal = countersign.Deny(countersign.StageHandshake, countersign.ServerNameUnknown, "%v", err)
		return c
	}
	h.serverName = name
	if s.template.offered {
		h.offered = hello.SupportedProtos
	}
	h.profile = s.profiles[s.policies.lookup(name)]
	c.GetCertificate = k.pick
	c.NextProtos = s.template.nextProtos
	if offersACMEAlone(hello.SupportedProtos) && !slices.Contains(c.NextProtos, acmeProtocol) {
		h.refusal = countersign.Deny(countersign.StageHandshake, countersign.HandshakeFailed,
			"the client wants to validate a certificate for %s (ALPN %s), which is not awaited here", strconv.Quote(name), acmeProtocol)
		c.NextProtos = []string{"no protocol"} // makes crypto/tls answer no_application_protocol
		return c
	}
	c.ClientAuth, c.ClientCAs = h.profile.clientAuth, h.profile.clientCAs
	if h.profile.tickets {
		c.SessionTicketsDisabled = false
		c.WrapSession, c.UnwrapSession = k.wrap, k.unwrap
	}
	return c
}

// pick is tls.Config.GetCertificate: it notes which certificate was shown, and has
// noted how its key signs.
func (h *session) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	cert, err := h.server.template.pick(hello)
	if err == nil && cert.Leaf != nil {
		h.shown = cert.Leaf
		cert = h.key.watched(cert)
	}
	return cert, err
}

func offersACMEAlone(protos []string) bool { return len(protos) == 1 && protos[0] == acmeProtocol }

// verify is tls.Config.VerifyConnection: it runs on every handshake, full or
// resumed. In TLS 1.3 the client's signature is checked only after it.
func (h *session) verify(cs tls.ConnectionState) error {
	if h.refusal != nil {
		return h.refusal
	}
	h.decide(cs)
	switch {
	case h.refusal != nil:
		return h.refusal
	case h.denial != nil && h.profile.policy.closes():
		return h.denial
	}
	return nil
}

// decide asks the policy, once: on a resumed TLS 1.3 connection crypto/tls
// makes the new ticket before it verifies.
func (h *session) decide(cs tls.ConnectionState) {
	if h.decided {
		return
	}
	h.decided = true
	if err := h.prepare(cs.PeerCertificates); err != nil {
		h.refusal = classify(err)
		return
	}
	now := h.server.now()
	if cs.DidResume {
		h.line.resumes()
	} else {
		h.began = now
	}
	policy := h.profile.policy
	if h.deciding != nil {
		policy = h.deciding
	}
	if policy.Proxied() { // not this handshake says who the client is
		return
	}
	h.chain, h.denial = policy.Admit(cs.PeerCertificates, now, nil)
	if lapse := h.chain.Lapse(); lapse != nil && cs.DidResume {
		h.chain, h.denial = verify.Chain{}, lapse // to renew takes the key, in this very handshake
	}
}

// wrap is tls.Config.WrapSession. A ticket that nobody may use is a dead one.
func (h *session) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	h.decide(cs)
	if h.refusal != nil || h.denial != nil {
		return ticket.Dead(), nil
	}
	if h.chain.Lapse() != nil {
		return ticket.Dead(), nil // it is for one handshake
	}
	now, keys := h.server.now(), h.server.keys
	until := h.began.Add(keys.Lifetime())
	if leaf := h.chain.Leaf(); leaf != nil && leaf.NotAfter.Before(until) {
		until = leaf.NotAfter
	}
	if !now.Before(until) {
		return ticket.Dead(), nil
	}
	state, err := ss.Bytes()
	if err != nil {
		return ticket.Dead(), nil // a ticket is not worth a connection
	}
	return keys.Seal(ticket.Session{First: h.began, Until: until, State: state}, &h.profile.binding, now), nil
}

// unwrap is tls.Config.UnwrapSession: nil makes a full handshake. crypto/tls
// may pass over what it returns and ask again with the client's next ticket;
// the one it resumes is the last returned.
func (h *session) unwrap(identity []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
	now, keys := h.server.now(), h.server.keys
	sealed, ok := keys.Open(identity, &h.profile.binding, now)
	if !ok || now.Sub(sealed.First) >= keys.Lifetime() {
		return nil, nil
	}
	state, err := tls.ParseSessionState(sealed.State)
	if err != nil {
		return nil, nil // of another version of Go, say
	}
	h.began = sealed.First
	return state, nil
}
