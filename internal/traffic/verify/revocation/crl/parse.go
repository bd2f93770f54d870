package crl

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl/serials"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var errTooMany = errors.New("too many entries")

// A parser fills in a List as it goes through its DER.
type parser struct {
	w       *window
	list    *List
	entries serials.Builder
	bounded bool
	most    int // entries, when bounded

	version   int
	algorithm []byte // AlgorithmIdentifier of the signed part
	removes   int    // the first entry with reason removeFromCRL, from 1; 0: none
}

// read reads a CertificateList (RFC 5280 section 5.1) and nothing else.
func (p *parser) read(r io.Reader) error {
	sum := sha256.New()
	p.w.reset(r, sum)
	outer, err := p.w.enter(cbasn1.SEQUENCE, math.MaxInt64)
	if err == nil {
		err = p.certificateList(outer.end)
	}
	switch {
	case errors.Is(err, errCutOff) && outer.end == 0:
		return errMalformed
	case errors.Is(err, errCutOff):
		return fmt.Errorf("%w: it says that it has %d bytes, and %d are there; was the file written completely? replace files by rename",
			err, outer.end, p.w.at+int64(p.w.hi-p.w.lo))
	case err != nil:
		return err
	}
	p.w.flush()
	sum.Sum(p.list.digest[:0])
	more, err := p.w.ended()
	if err == nil && more > 0 {
		return fmt.Errorf("%d bytes follow the revocation list; want one list and nothing else", more)
	}
	if err != nil {
		return err
	}
	p.list.entries = *p.entries.Set()
	return nil
}

func (p *parser) certificateList(end int64) error {
	tbs, err := p.w.header(end)
	if err != nil {
		return err
	}
	if tbs.tag != cbasn1.SEQUENCE {
		return errMalformed
	}
	if err := p.prefix(tbs); err != nil {
		return err
	}
	if err := p.certList(tbs.end); err != nil {
		return err
	}
	p.w.sign(nil)
	algorithm, err := p.w.element("its signature algorithm", end)
	if err != nil {
		return err
	}
	if !bytes.Equal(algorithm, p.algorithm) { // RFC 5280 section 5.1.1.2
		return errors.New("it names two different signature algorithms")
	}
	element, err := p.w.element("its signature", end)
	if err != nil {
		return err
	}
	var value asn1.BitString
	if signature := cryptobyte.String(element); !signature.ReadASN1BitString(&value) || p.w.at != end {
		return errMalformed
	}
	return p.list.signature.seal(value.RightAlign())
}

// prefix reads what precedes the issuer: the version, and the algorithm, which
// must be known before the first octet is hashed.
func (p *parser) prefix(tbs header) error {
	const most = 1 << 10 // a version and an algorithm that we know take less than 100
	n := int(min(most, tbs.end-p.w.at))
	if err := p.w.want(n); err != nil {
		return err
	}
	rest := cryptobyte.String(p.w.buf[p.w.lo+tbs.size : p.w.lo+n])
	if rest.PeekASN1Tag(cbasn1.INTEGER) && (!rest.ReadASN1Integer(&p.version) || p.version != 1) {
		return fmt.Errorf("its version is %d; want 1, which means version 2", p.version)
	}
	var algorithm cryptobyte.String
	if !rest.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) {
		return errMalformed
	}
	p.algorithm = bytes.Clone(algorithm)
	if err := p.list.signature.begin(algorithm); err != nil {
		return err
	}
	p.w.sign(&p.list.signature)
	p.w.skip(n - len(rest))
	return nil
}

// certList reads the rest of a TBSCertList, which ends at end.
func (p *parser) certList(end int64) error {
	l := p.list
	issuer, err := p.w.element("its issuer", end)
	if err != nil {
		return err
	}
	if issuer[0] != byte(cbasn1.SEQUENCE) {
		return errMalformed
	}
	l.RawIssuer = bytes.Clone(issuer)
	if l.ThisUpdate, err = p.time("thisUpdate", end); err != nil {
		return err
	}
	next, err := p.next(end)
	if err != nil {
		return err
	}
	if next != cbasn1.UTCTime && next != cbasn1.GeneralizedTime {
		return errors.New("it has no nextUpdate, so that nobody can tell when it is out of date (RFC 5280 section 5.1.2.5 demands one)")
	}
	if l.NextUpdate, err = p.time("nextUpdate", end); err != nil {
		return err
	}
	if l.NextUpdate.Before(l.ThisUpdate) {
		return fmt.Errorf("its nextUpdate %s is before its thisUpdate %s", describe.Date(l.NextUpdate), describe.Date(l.ThisUpdate))
	}
	if next, err = p.next(end); err != nil {
		return err
	}
	if next == cbasn1.SEQUENCE {
		if err := p.revoked(end); err != nil {
			return err
		}
		if next, err = p.next(end); err != nil {
			return err
		}
	}
	if next == cbasn1.Tag(0).ContextSpecific().Constructed() {
		if err := p.extensions(end); err != nil {
			return err
		}
	}
	if p.w.at != end {
		return errMalformed
	}
	return p.whole()
}

// next returns the tag of the element that comes next, 0 when there is none.
func (p *parser) next(end int64) (cbasn1.Tag, error) {
	if p.w.at == end {
		return 0, nil
	}
	h, err := p.w.header(end)
	return h.tag, err
}

func (p *parser) time(what string, end int64) (time.Time, error) {
	element, err := p.w.element(what, end)
	if err != nil {
		return time.Time{}, err
	}
	s := cryptobyte.String(element)
	at, err := readTime(&s)
	if err != nil {
		return at, fmt.Errorf("%s: %w", what, err)
	}
	return at, nil
}

// revoked reads revokedCertificates.
func (p *parser) revoked(end int64) error {
	h, err := p.w.enter(cbasn1.SEQUENCE, end)
	if err != nil {
		return err
	}
	for n := 1; p.w.at < h.end; n++ {
		if p.bounded && n > p.most {
			return errTooMany
		}
		element, err := p.w.element("an entry", h.end)
		if err == nil {
			err = p.entry(element, n)
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
	}
	return nil
}

// entry takes the nth element of revokedCertificates.
func (p *parser) entry(element cryptobyte.String, n int) error {
	var entry, number cryptobyte.String
	if !element.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1(&number, cbasn1.INTEGER) || len(number) == 0 {
		return errMalformed
	}
	at, err := readTime(&entry)
	if err != nil {
		return fmt.Errorf("revocationDate: %w", err)
	}
	why := Reason(0)
	if !entry.Empty() {
		var extensions cryptobyte.String
		if p.version == 0 || !entry.ReadASN1(&extensions, cbasn1.SEQUENCE) || !entry.Empty() {
			return errMalformed
		}
		if why, err = parseReason(extensions); err != nil {
			return err
		}
		if why == RemoveFromCRL && p.removes == 0 {
			p.removes = n
		}
	}
	if number[0]&0x80 != 0 {
		p.list.odd++
		return nil
	}
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	if len(number) > serials.MaxSerial {
		return fmt.Errorf("its serial number has %d octets; want at most %d", len(number), serials.MaxSerial)
	}
	// Before 1970 nothing was revoked; a time there is a mistake, not a reason to
	// lose the entry. Nor is one after 2106.
	seconds := min(max(at.Unix(), 0), math.MaxUint32)
	return p.entries.Add(number, serials.Record{At: uint32(seconds), Reason: uint8(why)})
}

// whole looks at what belongs together.
func (p *parser) whole() error {
	l := p.list
	switch {
	case l.Base == nil && p.removes > 0:
		return fmt.Errorf("entry %d: its reason removeFromCRL belongs into delta lists alone (RFC 5280 section 5.3.1)", p.removes)
	case l.Base != nil && l.Number == nil:
		return errors.New("it is a delta list without a CRL number, so that nobody can tell to which lists it applies (RFC 5280 section 5.2.4)")
	case l.Base != nil && l.Base.Cmp(l.Number) >= 0:
		return fmt.Errorf("it is a delta list, number %s, that changes list number %s; want a lower number there (RFC 5280 section 5.2.4)", l.Number, l.Base)
	}
	return nil
}
