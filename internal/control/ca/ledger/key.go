package ledger

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// A Key is the SHA-256 of a SubjectPublicKeyInfo. Its zero value is none.
type Key [sha256.Size]byte

// A Holder is who has a key: what the certificate with it says of its subject.
type Holder struct {
	// Subject is the distinguished name.
	Subject string
	// Names are the alternative names as they are encoded, where there is no Subject.
	Names string
	// Compromised: a certificate with the key was revoked, because somebody else has it.
	Compromised bool
}

// keyCompromise is the reason of such a revocation (RFC 5280 section 5.3.1).
const keyCompromise = "keyCompromise"

// Compromises reports whether e says that somebody else has the key.
func (e Entry) Compromises() bool { return e.Event == Revoked && e.Reason == keyCompromise }

// Holder is who has the key of what e says is issued.
func (e Entry) Holder() Holder { return Holder{Subject: e.Subject, Names: e.Names} }

// Suits tells whether e may be issued for its key, which h has already; h is nil for
// nobody. A key shows who holds it: two who share one could be told apart by nothing.
func (e Entry) Suits(h *Holder) error {
	who := "somebody without a name of this kind"
	if h != nil && h.Subject != "" {
		who = fmt.Sprintf("%q", h.Subject)
	}
	switch {
	case h == nil, e.Recorded:
		return nil
	case h.Compromised:
		return &ConflictError{Entry: e, Key: true, Reason: fmt.Sprintf("the key is that of a certificate of %s, which was revoked because somebody else has the key: make a new one", who)}
	case e.Fresh:
		return &ConflictError{Entry: e, Key: true, Reason: fmt.Sprintf("the key is that of a certificate of %s: the profile %s takes a new one", who, e.Profile)}
	case h.Subject != e.Subject || h.Names != e.Names:
		return &ConflictError{Entry: e, Key: true, Reason: fmt.Sprintf("the key is that of a certificate of %s already, this one is for %q: let each have a key of its own", who, e.Subject)}
	}
	return nil
}

// readKey finds the key in a certificate, and without a subject its alternative
// names, as far as they can be read. It knows RFC 5280 section 4.1 as far as that.
func (e *Entry) readKey() {
	der := cryptobyte.String(e.Certificate)
	var certificate, tbs, subject, spki cryptobyte.String
	if !der.ReadASN1(&certificate, asn1.SEQUENCE) || !certificate.ReadASN1(&tbs, asn1.SEQUENCE) ||
		!tbs.SkipOptionalASN1(asn1.Tag(0).Constructed().ContextSpecific()) || !tbs.SkipASN1(asn1.INTEGER) ||
		!tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) || !tbs.SkipASN1(asn1.SEQUENCE) ||
		!tbs.ReadASN1(&subject, asn1.SEQUENCE) || !tbs.ReadASN1Element(&spki, asn1.SEQUENCE) {
		return
	}
	e.Key = sha256.Sum256(spki)
	if len(subject) == 0 {
		e.Names = alternativeNames(tbs)
	}
}

// alternativeNames is the extension of that kind among those at the end of a
// TBSCertificate; "" for none.
func alternativeNames(tbs cryptobyte.String) string {
	var all, list, one, value cryptobyte.String
	tbs.SkipOptionalASN1(asn1.Tag(1).ContextSpecific())
	tbs.SkipOptionalASN1(asn1.Tag(2).ContextSpecific())
	if !tbs.ReadASN1(&all, asn1.Tag(3).Constructed().ContextSpecific()) || !all.ReadASN1(&list, asn1.SEQUENCE) {
		return ""
	}
	for list.ReadASN1(&one, asn1.SEQUENCE) {
		var oid cryptobyte.String
		if one.ReadASN1(&oid, asn1.OBJECT_IDENTIFIER) && string(oid) == "\x55\x1d\x11" &&
			one.SkipOptionalASN1(asn1.BOOLEAN) && one.ReadASN1(&value, asn1.OCTET_STRING) {
			return string(value)
		}
	}
	return ""
}
