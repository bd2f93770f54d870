package proxyproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"slices"

	pires "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// A Plan says which header is written. It is comparable; the zero Plan is none.
type Plan struct {
	Version int // 1 or 2; 0: no header
	Fields  Fields
	// Own are templates of the values of the TLVs FirstOwn to LastOwn, which
	// Connection.Own has values of; "": none.
	Own [OwnTypes]string
}

// The types of TLVs that are the application's own (section 2.2.7).
const (
	FirstOwn = 0xe0
	LastOwn  = 0xef
	OwnTypes = LastOwn - FirstOwn + 1
)

// Fields are the TLVs that a header of version 2 has.
type Fields uint8

const (
	// SSL is what there is to say of TLS, and of the client's certificate.
	SSL Fields = 1 << iota
	// ClientCert adds the certificate itself to SSL.
	ClientCert
	// Authority is the name that the client asked for.
	Authority
	// ALPN is the protocol that was agreed upon with the client.
	ALPN
	// UniqueID is how the connection is called in our logs.
	UniqueID
	// CRC32C lets the reader find out whether the header has arrived whole.
	CRC32C
)

// A Connection is what there is to be told of a client's connection.
type Connection struct {
	// Source is the client, Destination what it connected to.
	Source, Destination netip.AddrPort
	// ALPN, Authority and UniqueID may be empty: then they are not told.
	ALPN, Authority, UniqueID string
	// TLS is nil on a connection without.
	TLS *TLS
	// Own are the values of templates for this connection.
	Own []Own
	// Passed are fields of the header that the connection itself came with. What we
	// say by the same type is said in their place, and none is passed by a type that
	// the Plan has a template for, whatever that comes to.
	Passed []TLV
}

// An Own is what a template comes to; an empty value is not told.
type Own struct{ Template, Value string }

// TLS is what there is to be told of it. Texts may be empty.
type TLS struct {
	Version, Cipher, Group string
	// SigAlg and KeyAlg are of the certificate that the client was shown, SigScheme
	// says how its key has signed the handshake.
	SigAlg, KeyAlg, SigScheme string
	// Presented says that the client has shown a certificate in this session;
	// Resumed: on an earlier connection of it. Verified says that it is good.
	Presented, Resumed, Verified bool
	// CommonName and Certificate, in DER, are the client's.
	CommonName  string
	Certificate []byte
}

// Equal reports whether both say the same.
func (c *Connection) Equal(d *Connection) bool {
	switch {
	case c.Source != d.Source || c.Destination != d.Destination || c.ALPN != d.ALPN || c.Authority != d.Authority || c.UniqueID != d.UniqueID:
		return false
	case !slices.Equal(c.Own, d.Own) || !slices.EqualFunc(c.Passed, d.Passed, TLV.equal):
		return false
	case c.TLS == nil || d.TLS == nil:
		return c.TLS == d.TLS
	}
	return c.TLS.equal(d.TLS)
}

func (t TLV) equal(u TLV) bool { return t.Type == u.Type && bytes.Equal(t.Value, u.Value) }

func (t *TLS) equal(u *TLS) bool {
	return t.Version == u.Version && t.Cipher == u.Cipher && t.Group == u.Group && t.SigAlg == u.SigAlg && t.KeyAlg == u.KeyAlg && t.SigScheme == u.SigScheme &&
		t.Presented == u.Presented && t.Resumed == u.Resumed && t.Verified == u.Verified &&
		t.CommonName == u.CommonName && slices.Equal(t.Certificate, u.Certificate)
}

// Header returns the header about c.
func (p Plan) Header(c *Connection) ([]byte, error) {
	h := &pires.Header{Version: byte(p.Version), Command: pires.PROXY, TransportProtocol: pires.TCPv6,
		SourceAddr: net.TCPAddrFromAddrPort(c.Source), DestinationAddr: net.TCPAddrFromAddrPort(c.Destination)}
	if c.Source.Addr().Is4() && c.Destination.Addr().Is4() {
		h.TransportProtocol = pires.TCPv4
	}
	if p.Version == 2 {
		tlvs, err := p.tlvs(c)
		if err == nil {
			err = h.SetTLVs(tlvs)
		}
		if err != nil {
			return nil, fmt.Errorf("a PROXY header: %w", err)
		}
	}
	b, err := h.Format()
	if err != nil {
		return nil, fmt.Errorf("a PROXY header: %w", err)
	}
	if p.Version == 2 && p.Fields&CRC32C != 0 {
		binary.BigEndian.PutUint32(b[crcAt(b):], crc32.Checksum(b, castagnoli))
	}
	return b, nil
}

// Local returns the header of a connection that is nobody's but ours: a health
// check. It is empty under the zero Plan.
func (p Plan) Local() []byte {
	switch p.Version {
	case 1:
		return []byte("PROXY UNKNOWN\r\n")
	case 2:
		return append(slices.Clone(signatureV2), 0x20, 0, 0, 0)
	}
	return nil
}

// own is what a template comes to.
func (c *Connection) own(template string) string {
	if template == "" {
		return ""
	}
	for _, o := range c.Own {
		if o.Template == template {
			return o.Value
		}
	}
	return ""
}

func (p Plan) tlvs(c *Connection) (all []pires.TLV, err error) {
	text := func(field Fields, kind pires.PP2Type, value string) {
		if p.Fields&field != 0 && value != "" {
			all = append(all, pires.TLV{Type: kind, Value: []byte(value)})
		}
	}
	text(ALPN, pires.PP2_TYPE_ALPN, c.ALPN)
	text(Authority, pires.PP2_TYPE_AUTHORITY, c.Authority)
	text(UniqueID, pires.PP2_TYPE_UNIQUE_ID, c.UniqueID)
	if c.TLS != nil && p.Fields&SSL != 0 {
		ssl, err := c.TLS.tlv(p.Fields&ClientCert != 0)
		if err != nil {
			return nil, err
		}
		all = append(all, ssl)
	}
	for i, template := range p.Own {
		if value := c.own(template); value != "" {
			all = append(all, pires.TLV{Type: pires.PP2Type(FirstOwn + i), Value: []byte(value)})
		}
	}
	own := len(all)
	for _, t := range c.Passed {
		is := func(said pires.TLV) bool { return byte(said.Type) == t.Type }
		if !p.speaks(t.Type) && !slices.ContainsFunc(all[:own], is) {
			all = append(all, pires.TLV{Type: pires.PP2Type(t.Type), Value: t.Value})
		}
	}
	text(CRC32C, pires.PP2_TYPE_CRC32C, "\x00\x00\x00\x00") // until all is there
	return all, nil
}

// speaks reports whether fields of that type have a template: then they are ours
// or nobody's, for one that names the client and is missing says that nobody is
// verified.
func (p *Plan) speaks(kind byte) bool {
	return kind >= FirstOwn && kind <= LastOwn && p.Own[kind-FirstOwn] != ""
}

// tlv is PP2_TYPE_SSL (section 2.2.6).
func (t *TLS) tlv(withCertificate bool) (pires.TLV, error) {
	ssl := tlvparse.PP2SSL{Client: tlvparse.PP2_BITFIELD_CLIENT_SSL, Verify: 1}
	if t.Presented {
		ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_SESS
		if !t.Resumed {
			ssl.Client |= tlvparse.PP2_BITFIELD_CLIENT_CERT_CONN
		}
		if t.Verified {
			ssl.Verify = 0
		}
	}
	for _, sub := range [...]struct {
		kind  pires.PP2Type
		value string
	}{
		{pires.PP2_SUBTYPE_SSL_VERSION, t.Version},
		{pires.PP2_SUBTYPE_SSL_CN, t.CommonName},
		{pires.PP2_SUBTYPE_SSL_CIPHER, t.Cipher},
		{pires.PP2_SUBTYPE_SSL_SIG_ALG, t.SigAlg},
		{pires.PP2_SUBTYPE_SSL_KEY_ALG, t.KeyAlg},
		{pires.PP2_SUBTYPE_SSL_GROUP, t.Group},
		{pires.PP2_SUBTYPE_SSL_SIG_SCHEME, t.SigScheme},
	} {
		if sub.value != "" {
			ssl.TLV = append(ssl.TLV, pires.TLV{Type: sub.kind, Value: []byte(sub.value)})
		}
	}
	if withCertificate && len(t.Certificate) > 0 {
		ssl.TLV = append(ssl.TLV, pires.TLV{Type: pires.PP2_SUBTYPE_SSL_CLIENT_CERT, Value: t.Certificate})
	}
	return ssl.Marshal()
}
