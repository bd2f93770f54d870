package identify

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"

	"countersign.dev"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/traffic/verify"
	words "countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/wire/dn"
)

// A Client is who is at the other end of a connection. It is a small value,
// safe to copy and to share between goroutines.
type Client struct {
	known    bool
	vouched  proxied.Voucher       // zero: nobody vouches for it
	identity *countersign.Identity // nil when anonymous
	chain    verify.Chain
}

// Anonymous returns the client that showed no certificate where none was required.
func Anonymous() Client { return Client{known: true} }

// From describes the client that proved to hold the key of c's leaf. Whether
// the chain was verified or passed through stays c's to say.
//
// It refuses (ClientCertInvalid) what could read differently to two readers: a
// name that OpenSSL would not load, a NUL or a wrong encoding in a common name or
// organizational unit, a subject alternative name with characters that cannot
// stand in one.
func From(c verify.Chain) (Client, *countersign.Denial) {
	if c.IsZero() {
		return Client{}, countersign.Deny(countersign.StageIdentify, countersign.CredentialNotProven,
			"identify was given a chain that the verify stage did not make; this is a fault in countersign, please report it")
	}
	id, err := describe(c.Leaf())
	if err != nil {
		return Client{}, countersign.Deny(countersign.StageIdentify, countersign.ClientCertInvalid,
			"%s: %v; let its CA issue it again with names that can be read in one way only", words.Certificate(c.Leaf()), err)
	}
	return Client{known: true, identity: id, chain: c}, nil
}

// Vouched describes the client that a balancer in front vouches for. c is what came
// of its certificate here: verified against a trust store, or let pass without; the
// zero Chain if the balancer has told no certificate. It refuses what From does.
func Vouched(v proxied.Voucher, c verify.Chain) (Client, *countersign.Denial) {
	if v.IsZero() {
		return Client{}, countersign.Deny(countersign.StageIdentify, countersign.CredentialNotProven,
			"identify was given a voucher that no balancer has given; this is a fault in countersign, please report it")
	}
	if !c.IsZero() {
		client, denial := From(c)
		if denial == nil {
			client.vouched = v
		}
		return client, denial
	}
	id, err := named(v.CommonName())
	if err != nil {
		return Client{}, countersign.Deny(countersign.StageIdentify, countersign.ClientCertInvalid,
			"the common name %q that the balancer at %s tells: %v", v.CommonName(), v.By(), err)
	}
	return Client{known: true, identity: id, vouched: v}, nil
}

// named describes somebody of whom nothing but the name is known.
func named(commonName string) (*countersign.Identity, error) {
	der, err := asn1.Marshal(pkix.Name{CommonName: commonName}.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	subject, err := dn.Parse(der)
	if err != nil {
		return nil, err
	}
	id := &countersign.Identity{Subject: subject.String()}
	id.CommonNames, err = subject.Values(dn.CommonName)
	return id, err
}

// Known is false for the zero Client alone, which nobody decided upon.
func (c Client) Known() bool { return c.known }

// Anonymous reports whether the client is known to have shown no certificate.
func (c Client) Anonymous() bool { return c.known && c.identity == nil }

// Verified reports whether the client's certificate passed a trust store, or a
// balancer that is believed has found it good. What Identity says of a client that
// is not verified is its own claim. That a trust store of ours has seen it, the
// Chain alone says.
func (c Client) Verified() bool {
	return c.identity != nil && (c.chain.Verified() || !c.vouched.IsZero())
}

// VouchedBy is the balancer in front that vouches for the client; not valid for
// one that was seen here.
func (c Client) VouchedBy() netip.Addr { return c.vouched.By() }

// Lapse is that of the client's chain: nil, unless its certificate has expired and
// may be renewed, and nothing else.
func (c Client) Lapse() *countersign.Denial { return c.chain.Lapse() }

// Identity describes the client's certificate; nil when there is none. The
// caller must not change it.
func (c Client) Identity() *countersign.Identity { return c.identity }

// Chain returns the chain that the client showed, the zero Chain when none.
func (c Client) Chain() verify.Chain { return c.chain }

func describe(leaf *x509.Certificate) (*countersign.Identity, error) {
	subject, err := dn.Parse(leaf.RawSubject)
	if err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	issuer, err := dn.String(leaf.RawIssuer)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	id := &countersign.Identity{
		Subject:     subject.String(),
		Issuer:      issuer,
		Serial:      dn.Serial(leaf.SerialNumber),
		Fingerprint: sha256.Sum256(leaf.Raw),
		NotBefore:   leaf.NotBefore,
		NotAfter:    leaf.NotAfter,
	}
	if id.CommonNames, err = subject.Values(dn.CommonName); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if id.OrganizationalUnits, err = subject.Values(dn.OrganizationalUnit); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	if err := alternativeNames(leaf, id); err != nil {
		return nil, fmt.Errorf("subject alternative name: %w", err)
	}
	return id, nil
}
