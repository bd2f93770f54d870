package crl

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl/serials"
)

// A List is one certificate revocation list: immutable, safe for concurrent use.
// Only Read makes one.
type List struct {
	Name           string   // of the file it came from
	RawIssuer      []byte   // DER of the issuer's distinguished name
	AuthorityKeyID []byte   // nil when the list does not say
	Number         *big.Int // CRL number (RFC 5280 section 5.2.3), nil when the list has none
	Base           *big.Int // of a delta list, the least number of a list that it changes (section 5.2.4); else nil
	ThisUpdate     time.Time
	NextUpdate     time.Time

	entries   serials.Set
	odd       int // negative serial numbers, which no certificate that crypto/x509 reads can have
	scope     scope
	signature signature
	digest    [32]byte
}

// An Entry is what a list says about one serial number.
type Entry struct {
	RevokedAt time.Time
	Reason    Reason
}

// A Reason is a CRLReason of RFC 5280 section 5.3.1.
type Reason uint8

// String returns the reason as RFC 5280 spells it.
func (r Reason) String() string {
	names := [...]string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
		"cessationOfOperation", "certificateHold", "7", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprint(uint8(r))
}

// The reasons that mean something here.
const (
	CertificateHold Reason = 6 // it may be taken off the list again
	// RemoveFromCRL takes a certificate off the list that a delta list changes; in
	// other lists there is none.
	RemoveFromCRL Reason = serials.Removed
)

// Len returns how many entries the list has.
func (l *List) Len() int { return l.entries.Len() + l.odd }

// Lookup returns the entry for a serial number. It does not allocate.
func (l *List) Lookup(serial *big.Int) (Entry, bool) {
	n := max((serial.BitLen()+7)/8, 1) // zero itself has one octet
	if serial.Sign() < 0 || n > serials.MaxSerial {
		return Entry{}, false
	}
	var buf [serials.MaxSerial]byte
	r, ok := l.entries.Lookup(serial.FillBytes(buf[:n]))
	if !ok {
		return Entry{}, false
	}
	return Entry{RevokedAt: time.Unix(int64(r.At), 0).UTC(), Reason: Reason(r.Reason)}, true
}

// Digest returns the SHA-256 of the list's DER: equal lists have equal digests.
func (l *List) Digest() [32]byte { return l.digest }

// Named returns the list as it is in another file of the same content. The
// entries are shared.
func (l *List) Named(file string) *List {
	named := *l
	named.Name = file
	return &named
}

// String names the list for people: number, issuer and file.
func (l *List) String() string {
	kind, number := "list", "without number"
	if l.Base != nil {
		kind = "delta list"
	}
	if l.Number != nil {
		number = "number " + l.Number.String()
	}
	return fmt.Sprintf("%s %s of %s (%s)", kind, number, describe.Name(l.RawIssuer), l.Name)
}

// IssuedBy reports whether ca's name is the list's issuer and ca's key signed
// the list. It does not look at ca's key usage.
func (l *List) IssuedBy(ca *x509.Certificate) bool {
	return bytes.Equal(l.RawIssuer, ca.RawSubject) && l.signature.verify(ca.PublicKey) == nil
}

// MayBeOf reports whether the list claims to be ca's: the same name, and key
// identifiers that do not contradict.
func (l *List) MayBeOf(ca *x509.Certificate) bool {
	return bytes.Equal(l.RawIssuer, ca.RawSubject) &&
		(l.AuthorityKeyID == nil || len(ca.SubjectKeyId) == 0 || bytes.Equal(l.AuthorityKeyID, ca.SubjectKeyId))
}

// Covers reports whether the list speaks for a certificate of its issuer
// (RFC 5280 section 6.3.3 (b)(2)).
func (l *List) Covers(c *x509.Certificate) bool { return l.scope.covers(c) }

// Series is equal for lists of which a newer one takes the place of an older
// one, and to which the same delta lists apply: issuer, key and scope.
func (l *List) Series() string {
	return fmt.Sprintf("%x/%x/%s", l.RawIssuer, l.AuthorityKeyID, l.Scope())
}

// Scope says for which certificates the list speaks; "" is all of its issuer.
func (l *List) Scope() string { return l.scope.String() }
