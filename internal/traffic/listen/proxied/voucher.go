package proxied

import (
	"crypto/x509"
	"net/netip"
	"slices"

	"countersign.dev"
	"countersign.dev/internal/wire/proxyproto"
)

// Vouching says which balancers are believed about the certificates of clients,
// whose TLS connections end at them.
type Vouching struct {
	// From are their networks.
	From []netip.Prefix
	// Certificate: the certificate itself must be told, since it is verified here.
	Certificate bool
}

// A Voucher is what a balancer has said of a client's certificate that it found
// good. Only Vouching.Take makes one; the zero Voucher proves nothing.
type Voucher struct{ said *said }

type said struct {
	by   netip.Addr
	tls  *proxyproto.TLS
	leaf []*x509.Certificate // none or one
}

// Take returns what the balancer at peer vouches for by its header, nil for none.
func (v *Vouching) Take(peer netip.Addr, h *proxyproto.Header) (Voucher, *countersign.Denial) {
	refuse := func(format string, args ...any) (Voucher, *countersign.Denial) {
		return Voucher{}, countersign.Deny(countersign.StageIdentify, countersign.ClientNotVouched, format, args...)
	}
	switch {
	case !contains(v.From, peer):
		return Voucher{}, deny(countersign.ProxyHeaderUntrusted, "%s is in none of the networks of client_auth.from, and only they may say who a client is", peer)
	case h == nil:
		return refuse("there is no PROXY header to say who the client is: let the balancer at %s send one, of version 2 with the field ssl", peer)
	case h.Local:
		return refuse("the balancer at %s speaks for itself (PROXY header LOCAL), not for a client; let its health checks ask the admin address, or another listener", peer)
	}
	told, result := h.TLS()
	switch {
	case told == nil:
		return refuse("the PROXY header from %s says nothing of a TLS connection: let the balancer send version 2 with the field ssl (HAProxy: send-proxy-v2-ssl-cn)", peer)
	case !told.Presented:
		return refuse("the client has shown no certificate to the balancer at %s; give it one, with its private key", peer)
	case !told.Verified:
		return refuse("the balancer at %s has found the client's certificate bad, result %d (of OpenSSL's verification if it is HAProxy)", peer, result)
	case len(told.Certificate) == 0 && v.Certificate:
		return refuse("the PROXY header from %s has no certificate (CLIENT_CERT, 0x28), which the trust store would verify: let the balancer send it, or take trust_store out to believe the balancer alone", peer)
	case len(told.Certificate) == 0 && told.CommonName == "":
		return refuse("the PROXY header from %s has neither the client's common name nor its certificate: let the balancer send one (HAProxy: send-proxy-v2-ssl-cn)", peer)
	}
	out := &said{by: peer, tls: told}
	if len(told.Certificate) > 0 {
		leaf, err := x509.ParseCertificate(told.Certificate)
		if err != nil {
			return Voucher{}, countersign.Deny(countersign.StageIdentify, countersign.ClientCertInvalid,
				"the certificate in the PROXY header from %s cannot be read: %v", peer, err)
		}
		out.leaf = []*x509.Certificate{leaf}
	}
	return Voucher{out}, nil
}

// Still refuses a voucher of a balancer that is not believed any more.
func (v *Vouching) Still(voucher Voucher) *countersign.Denial {
	if by := voucher.By(); by.IsValid() && !contains(v.From, by) {
		return countersign.Deny(countersign.StageIdentify, countersign.ClientNotVouched,
			"the balancer at %s, which vouches for the client, is not in client_auth.from any more", by)
	}
	return nil
}

// Same reports whether v believes the same as other; nil believes nobody.
func (v *Vouching) Same(other *Vouching) bool {
	if v == nil || other == nil {
		return v == other
	}
	return v.Certificate == other.Certificate && slices.Equal(v.From, other.From)
}

// IsZero reports whether v is none at all.
func (v Voucher) IsZero() bool { return v.said == nil }

// By is the balancer.
func (v Voucher) By() netip.Addr {
	if v.said == nil {
		return netip.Addr{}
	}
	return v.said.by
}

// CommonName is the client's, "" if none was told.
func (v Voucher) CommonName() string {
	if v.said == nil {
		return ""
	}
	return v.said.tls.CommonName
}

// Presented is the certificate that the client has shown to the balancer; empty if
// it was not told. Whether it is any good here nobody has asked.
func (v Voucher) Presented() []*x509.Certificate {
	if v.said == nil {
		return nil
	}
	return v.said.leaf
}

// TLS is the client's connection to the balancer, as that tells it; nil of the
// zero Voucher. It must not be changed.
func (v Voucher) TLS() *proxyproto.TLS {
	if v.said == nil {
		return nil
	}
	return v.said.tls
}
