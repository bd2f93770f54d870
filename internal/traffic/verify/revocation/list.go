package revocation

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"countersign.dev/internal/traffic/verify/describe"
)

// A List is one certificate revocation list: immutable, safe for concurrent use.
// Only Parse makes one.
type List struct {
	Name           string   // of the file it came from
	RawIssuer      []byte   // DER of the issuer's distinguished name
	AuthorityKeyID []byte   // nil when the list does not say
	Number         *big.Int // CRL number (RFC 5280 section 5.2.3), nil when the list has none
	ThisUpdate     time.Time
	NextUpdate     time.Time

	entries   entries
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

// Len returns how many entries the list has.
func (l *List) Len() int { return l.entries.len() }

// Lookup returns the entry for a serial number. It does not allocate.
func (l *List) Lookup(serial *big.Int) (Entry, bool) { return l.entries.lookup(serial) }

// Digest returns the SHA-256 of the list's DER: equal lists have equal digests.
func (l *List) Digest() [32]byte { return l.digest }

// String names the list for people: number, issuer and file.
func (l *List) String() string {
	number := "without number"
	if l.Number != nil {
		number = "number " + l.Number.String()
	}
	return fmt.Sprintf("list %s of %s (%s)", number, describe.Name(l.RawIssuer), l.Name)
}

// IssuedBy reports whether ca's name is the list's issuer and ca's key signed
// the list. It does not look at ca's key usage.
func (l *List) IssuedBy(ca *x509.Certificate) bool {
	return bytes.Equal(l.RawIssuer, ca.RawSubject) && l.signature.verify(ca.PublicKey) == nil
}

// mayBeOf reports whether the list claims to be ca's: the same name, and key
// identifiers that do not contradict.
func (l *List) mayBeOf(ca *x509.Certificate) bool {
	return bytes.Equal(l.RawIssuer, ca.RawSubject) &&
		(l.AuthorityKeyID == nil || len(ca.SubjectKeyId) == 0 || bytes.Equal(l.AuthorityKeyID, ca.SubjectKeyId))
}

// Regressed returns an error for each issuer whose newest list in after has a
// lower number than its newest in before: somebody put an old file back, and
// certificates revoked since would pass. Lists without a number are compared by
// thisUpdate. An issuer that has no list any more is not an error.
func Regressed(before, after []*List) []error {
	type issuer [sha256.Size]byte
	key := func(l *List) issuer {
		return sha256.Sum256(fmt.Appendf(nil, "%x/%x/%s", l.RawIssuer, l.AuthorityKeyID, l.scope.key()))
	}
	newest := func(lists []*List) map[issuer]*List {
		m := make(map[issuer]*List)
		for _, l := range lists {
			if have := m[key(l)]; have == nil || l.newerThan(have) {
				m[key(l)] = l
			}
		}
		return m
	}
	var errs []error
	old := newest(before)
	for k, l := range newest(after) {
		if was := old[k]; was != nil && was.newerThan(l) {
			errs = append(errs, fmt.Errorf("%s of %s is older than the one in force, %s of %s: certificates revoked since would pass; publish a newer one",
				l, describe.Date(l.ThisUpdate), was, describe.Date(was.ThisUpdate)))
		}
	}
	return errs
}

// Withdrawn returns the lists of before whose issuer has none in after.
func Withdrawn(before, after []*List) (gone []*List) {
	for _, l := range before {
		same := func(other *List) bool { return bytes.Equal(other.RawIssuer, l.RawIssuer) }
		if !slices.ContainsFunc(after, same) && !slices.ContainsFunc(gone, same) {
			gone = append(gone, l)
		}
	}
	return gone
}

func (l *List) newerThan(other *List) bool {
	if l.Number != nil && other.Number != nil {
		return l.Number.Cmp(other.Number) > 0
	}
	return l.ThisUpdate.After(other.ThisUpdate)
}
