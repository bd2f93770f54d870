package revocation

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/wire/pemscan"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Parse reads the revocation lists of a file: PEM, one or several, or one in
// DER. name is the file's, for messages. The error joins every fault of the
// file; with an error there are no lists.
func Parse(name string, data []byte) ([]*List, error) {
	if len(data) > 0 && data[0] == 0x30 {
		l, err := parseDER(name, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return []*List{l}, nil
	}
	var lists []*List
	var errs []error
	fault := func(line int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s:%d: %w", name, line, fmt.Errorf(format, args...)))
	}
	for _, e := range pemscan.Scan(data) {
		switch {
		case e.Kind == pemscan.Block && e.Type == "X509 CRL":
			l, err := parseDER(name, e.Bytes)
			if err != nil {
				fault(e.Line, "%w", err)
				continue
			}
			lists = append(lists, l)
		case e.Kind == pemscan.Block:
			fault(e.Line, "a %q block; want X509 CRL blocks alone", e.Type)
		case e.Kind == pemscan.Broken:
			fault(e.Line, "the %q block that begins here is damaged: %s", e.Type, e.Text)
		case e.Kind == pemscan.Stray:
			fault(e.Line, "neither PEM nor a comment: %s; leave openssl's -text out", pemscan.Excerpt(e.Text))
		}
	}
	if len(errs) == 0 && len(lists) == 0 {
		errs = append(errs, fmt.Errorf("%s: there is no revocation list in the file; want PEM (X509 CRL) or DER", name))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return lists, nil
}

var errMalformed = errors.New("not a revocation list: malformed DER")

// parseDER reads a CertificateList (RFC 5280 section 5.1).
func parseDER(name string, der []byte) (*List, error) {
	l := &List{Name: name, digest: sha256.Sum256(der)}
	input := cryptobyte.String(der)
	var outer, tbs, algorithm cryptobyte.String
	var value asn1.BitString
	if !input.ReadASN1(&outer, cbasn1.SEQUENCE) {
		return nil, errMalformed
	}
	if !input.Empty() {
		return nil, fmt.Errorf("%d bytes follow the revocation list; want one list and nothing else", len(input))
	}
	if !outer.ReadASN1Element(&tbs, cbasn1.SEQUENCE) || !outer.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!outer.ReadASN1BitString(&value) || !outer.Empty() {
		return nil, errMalformed
	}
	var err error
	if l.signature, err = parseSignature(algorithm, tbs, value.RightAlign()); err != nil {
		return nil, err
	}
	if err := l.parseTBS(tbs, algorithm); err != nil {
		return nil, err
	}
	l.entries.seal()
	return l, nil
}

func (l *List) parseTBS(element, algorithm cryptobyte.String) error {
	var tbs, inner, issuer cryptobyte.String
	if !element.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return errMalformed
	}
	version := 0
	if tbs.PeekASN1Tag(cbasn1.INTEGER) && (!tbs.ReadASN1Integer(&version) || version != 1) {
		return fmt.Errorf("its version is %d; want 1, which means version 2", version)
	}
	if !tbs.ReadASN1Element(&inner, cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return errMalformed
	}
	if !bytes.Equal(inner, algorithm) { // RFC 5280 section 5.1.1.2
		return errors.New("it names two different signature algorithms")
	}
	l.RawIssuer = bytes.Clone(issuer)
	var err error
	if l.ThisUpdate, err = readTime(&tbs); err != nil {
		return fmt.Errorf("thisUpdate: %w", err)
	}
	if !tbs.PeekASN1Tag(cbasn1.UTCTime) && !tbs.PeekASN1Tag(cbasn1.GeneralizedTime) {
		return errors.New("it has no nextUpdate, so that nobody can tell when it is out of date (RFC 5280 section 5.1.2.5 demands one)")
	}
	if l.NextUpdate, err = readTime(&tbs); err != nil {
		return fmt.Errorf("nextUpdate: %w", err)
	}
	if l.NextUpdate.Before(l.ThisUpdate) {
		return fmt.Errorf("its nextUpdate %s is before its thisUpdate %s", describe.Date(l.NextUpdate), describe.Date(l.ThisUpdate))
	}
	var revoked cryptobyte.String
	var hasRevoked bool
	if !tbs.ReadOptionalASN1(&revoked, &hasRevoked, cbasn1.SEQUENCE) {
		return errMalformed
	}
	for n := 1; !revoked.Empty(); n++ {
		if err := l.parseEntry(&revoked, version); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
	}
	var extensions cryptobyte.String
	var hasExtensions bool
	if !tbs.ReadOptionalASN1(&extensions, &hasExtensions, cbasn1.Tag(0).ContextSpecific().Constructed()) || !tbs.Empty() {
		return errMalformed
	}
	if !hasExtensions {
		return nil
	}
	if version == 0 {
		return errors.New("it has extensions but is a version 1 list")
	}
	var list cryptobyte.String
	if !extensions.ReadASN1(&list, cbasn1.SEQUENCE) || !extensions.Empty() {
		return errMalformed
	}
	return eachExtension(list, l.parseExtension)
}

// parseEntry reads one element of revokedCertificates.
func (l *List) parseEntry(revoked *cryptobyte.String, version int) error {
	var entry, number cryptobyte.String
	if !revoked.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1(&number, cbasn1.INTEGER) || len(number) == 0 {
		return errMalformed
	}
	at, err := readTime(&entry)
	if err != nil {
		return fmt.Errorf("revocationDate: %w", err)
	}
	why := Reason(0)
	if !entry.Empty() {
		var extensions cryptobyte.String
		if version == 0 || !entry.ReadASN1(&extensions, cbasn1.SEQUENCE) || !entry.Empty() {
			return errMalformed
		}
		if why, err = parseReason(extensions); err != nil {
			return err
		}
	}
	if number[0]&0x80 != 0 {
		l.entries.odd++
		return nil
	}
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	if len(number) > maxSerial {
		return fmt.Errorf("its serial number has %d octets; want at most %d", len(number), maxSerial)
	}
	l.entries.add(number, at, why)
	return nil
}

// parseExtension takes one crlExtension (RFC 5280 section 5.2).
func (l *List) parseExtension(oid asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
	switch {
	case oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 35}): // authority key identifier
		var id cryptobyte.String
		var present bool
		if !value.ReadASN1(&value, cbasn1.SEQUENCE) || !value.ReadOptionalASN1(&id, &present, cbasn1.Tag(0).ContextSpecific()) {
			return errors.New("its authority key identifier is malformed")
		}
		if present {
			l.AuthorityKeyID = bytes.Clone(id)
		}
	case oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 20}): // CRL number
		l.Number = new(big.Int)
		if !value.ReadASN1Integer(l.Number) || !value.Empty() || l.Number.Sign() < 0 {
			return errors.New("its CRL number is malformed")
		}
	case oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 27}):
		return errors.New("it is a delta list, which says only what changed; supply the complete list")
	case oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}): // issuing distribution point
		var err error
		l.scope, err = parseScope(value)
		return err
	case critical:
		return fmt.Errorf("it has the critical extension %v, which is not understood here, so it must not be used (RFC 5280 section 5.2)", oid)
	}
	return nil
}

// parseReason takes the extensions of an entry (RFC 5280 section 5.3).
func parseReason(extensions cryptobyte.String) (Reason, error) {
	reason := Reason(0)
	err := eachExtension(extensions, func(oid asn1.ObjectIdentifier, critical bool, value cryptobyte.String) error {
		switch {
		case oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 21}):
			var code int
			if !value.ReadASN1Enum(&code) || !value.Empty() || code < 0 || code > 10 || code == 7 {
				return errors.New("its reason code is malformed")
			}
			if code == 8 {
				return errors.New("its reason removeFromCRL belongs into delta lists alone (RFC 5280 section 5.3.1)")
			}
			reason = Reason(code)
		case oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 29}):
			return errors.New("it names a certificate of another issuer; indirect lists are not supported")
		case critical:
			return fmt.Errorf("it has the critical extension %v, which is not understood here, so the list must not be used (RFC 5280 section 5.3)", oid)
		}
		return nil
	})
	return reason, err
}

// eachExtension calls f for every Extension of a SEQUENCE's content, and
// refuses one that is there twice.
func eachExtension(list cryptobyte.String, f func(asn1.ObjectIdentifier, bool, cryptobyte.String) error) error {
	var seen []asn1.ObjectIdentifier
	for !list.Empty() {
		var extension, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&extension, cbasn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) {
			return errMalformed
		}
		if extension.PeekASN1Tag(cbasn1.BOOLEAN) && !extension.ReadASN1Boolean(&critical) {
			return errMalformed
		}
		if !extension.ReadASN1(&value, cbasn1.OCTET_STRING) || !extension.Empty() {
			return errMalformed
		}
		for _, s := range seen {
			if s.Equal(oid) {
				return fmt.Errorf("it has the extension %v twice", oid)
			}
		}
		seen = append(seen, oid)
		if err := f(oid, critical, value); err != nil {
			return err
		}
	}
	return nil
}

var errTime = errors.New("malformed; want YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")

// readTime reads a Time as RFC 5280 sections 5.1.2.4 and 4.1.2.5 write it: in
// UTC, to the second. A list has as many as entries, hence no time.Parse.
func readTime(s *cryptobyte.String) (time.Time, error) {
	var text cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&text, &tag) {
		return time.Time{}, errTime
	}
	year := 0
	switch {
	case tag == cbasn1.UTCTime && len(text) == 13:
		if year = digits(text[:2]); year >= 0 && year < 50 {
			year += 100
		}
		year += 1900
		text = text[2:]
	case tag == cbasn1.GeneralizedTime && len(text) == 15:
		year = 100*digits(text[:2]) + digits(text[2:4])
		text = text[4:]
	default:
		return time.Time{}, errTime
	}
	month, day, hour, minute, second := digits(text[:2]), digits(text[2:4]), digits(text[4:6]), digits(text[6:8]), digits(text[8:10])
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date carries February 30 over into March: what comes out must be what went in.
	if text[10] != 'Z' || year < 0 || t.Month() != time.Month(month) || t.Day() != day || t.Hour() != hour || t.Minute() != minute || t.Second() != second {
		return time.Time{}, errTime
	}
	return t, nil
}

// digits returns the value of two digits; a number that makes any year negative if they are none.
func digits(b []byte) int {
	if b[0] < '0' || b[0] > '9' || b[1] < '0' || b[1] > '9' {
		return -10000
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}
