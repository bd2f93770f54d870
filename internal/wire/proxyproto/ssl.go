package proxyproto

import (
	"encoding/binary"

	pires "github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
)

// TLS is what the proxy says of the client's TLS connection to it, and the result
// of its verification, 0 for a certificate that it found good, or none (section
// 2.2.6). nil: the connection was without TLS, or nothing is said. Texts may be
// any bytes.
func (h *Header) TLS() (t *TLS, result uint32) {
	value := h.value(TypeSSL)
	if value == nil {
		return nil, 0
	}
	t, result, _ = parseTLS(value) // has been found good when h was read
	return t, result
}

// parseTLS returns nil without an error for a connection without TLS.
func parseTLS(value []byte) (t *TLS, result uint32, err error) {
	if len(value) < 5 {
		return nil, 0, malformed("its SSL TLV is cut short")
	}
	subs, err := pires.SplitTLVs(value[5:])
	if err != nil {
		return nil, 0, malformed("its SSL TLV is cut short")
	}
	client := tlvparse.PP2SSL{Client: value[0]}
	result = binary.BigEndian.Uint32(value[1:5])
	if client.ClientSSL() {
		t = new(TLS)
	}
	if t != nil && (client.ClientCertConn() || client.ClientCertSess()) {
		t.Presented, t.Resumed, t.Verified = true, !client.ClientCertConn(), result == 0
	}
	seen := map[pires.PP2Type]bool{}
	for _, sub := range subs {
		if seen[sub.Type] && sub.Type != pires.PP2_TYPE_NOOP {
			return nil, 0, malformed("a part of its SSL TLV is there twice, and which one counts is anybody's guess")
		}
		seen[sub.Type] = true
		if t != nil {
			t.take(sub)
		}
	}
	return t, result, nil
}

func (t *TLS) take(sub pires.TLV) {
	text := string(sub.Value)
	switch sub.Type {
	case pires.PP2_SUBTYPE_SSL_VERSION:
		t.Version = text
	case pires.PP2_SUBTYPE_SSL_CN:
		t.CommonName = text
	case pires.PP2_SUBTYPE_SSL_CIPHER:
		t.Cipher = text
	case pires.PP2_SUBTYPE_SSL_SIG_ALG:
		t.SigAlg = text
	case pires.PP2_SUBTYPE_SSL_KEY_ALG:
		t.KeyAlg = text
	case pires.PP2_SUBTYPE_SSL_GROUP:
		t.Group = text
	case pires.PP2_SUBTYPE_SSL_SIG_SCHEME:
		t.SigScheme = text
	case pires.PP2_SUBTYPE_SSL_CLIENT_CERT:
		t.Certificate = sub.Value
	}
}
