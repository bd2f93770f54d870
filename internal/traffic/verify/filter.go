package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign.dev/internal/wire/san"
)

// A Filter says which leaf certificates a trust store accepts. Every field that
// is set must match; within a field one value is enough. A field matches values
// of its own type alone: a DNS name is never taken for a URI or a common name.
//
// In patterns "*" is any run of characters, dots and slashes included. DNS names
// are compared without regard to case, everything else exactly. A value with a
// NUL never matches.
type Filter struct {
	// SubjectCN: a certificate with several common names matches only if every
	// one of them does, because another reader may see another one.
	SubjectCN   []string
	SubjectOU   []string // one of the organizational units is enough
	SANDNS      []string
	SANURI      []string
	SPKIPin     []string // of the leaf: "sha256/" and base64 of the SHA-256 of its SubjectPublicKeyInfo (RFC 7469 section 2.4)
	Fingerprint []string // of the leaf: "sha256:" and hex of the SHA-256 of its DER, colons between bytes allowed
}

// A Matcher is a Filter made ready. Its zero value matches nothing.
type Matcher struct {
	filter       Filter
	pins, prints [][sha256.Size]byte
}

// Compile checks f and makes it ready.
func (f Filter) Compile() (*Matcher, error) {
	m := &Matcher{filter: f}
	var errs []error
	set := len(f.SPKIPin)+len(f.Fingerprint) > 0
	for _, field := range []struct {
		name   string
		values []string
	}{{"subject_cn", f.SubjectCN}, {"subject_ou", f.SubjectOU}, {"san_dns", f.SANDNS}, {"san_uri", f.SANURI}} {
		set = set || len(field.values) > 0
		for _, v := range field.values {
			if v == "" {
				errs = append(errs, fmt.Errorf("%s is empty; want a pattern, * for any value", field.name))
			} else if strings.ContainsRune(v, 0) {
				errs = append(errs, fmt.Errorf("%s %q contains a NUL, which never matches", field.name, v))
			}
		}
	}
	if !set {
		errs = append(errs, errors.New("the filter has no condition; want at least one of subject_cn, subject_ou, san_dns, san_uri, spki_pin, fingerprint"))
	}
	for _, v := range f.SPKIPin {
		sum, ok := strings.CutPrefix(v, "sha256/")
		b, err := base64.StdEncoding.DecodeString(sum)
		if !ok || err != nil || len(b) != sha256.Size {
			errs = append(errs, fmt.Errorf("spki_pin %q: want sha256/ and the base64 of 32 bytes", v))
			continue
		}
		m.pins = append(m.pins, [sha256.Size]byte(b))
	}
	for _, v := range f.Fingerprint {
		sum, ok := strings.CutPrefix(v, "sha256:")
		b, err := hex.DecodeString(strings.ReplaceAll(sum, ":", ""))
		if !ok || err != nil || len(b) != sha256.Size {
			errs = append(errs, fmt.Errorf("fingerprint %q: want sha256: and the hex of 32 bytes", v))
			continue
		}
		m.prints = append(m.prints, [sha256.Size]byte(b))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

// Match reports whether a leaf certificate meets every condition. It does not allocate.
func (m *Matcher) Match(leaf *x509.Certificate) bool {
	f := &m.filter
	switch {
	case len(f.SubjectCN)+len(f.SubjectOU)+len(f.SANDNS)+len(f.SANURI)+len(m.pins)+len(m.prints) == 0:
		return false
	case len(f.SubjectCN) > 0 && !everyAttribute(&leaf.Subject, oidCommonName, f.SubjectCN):
		return false
	case len(f.SubjectOU) > 0 && !anyAttribute(&leaf.Subject, oidOrganizationalUnit, f.SubjectOU):
		return false
	case len(f.SANDNS) > 0 && !anyAlternativeName(leaf, san.DNS, f.SANDNS):
		return false
	case len(f.SANURI) > 0 && !anyAlternativeName(leaf, san.URI, f.SANURI):
		return false
	case len(m.pins) > 0 && !slices.Contains(m.pins, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)):
		return false
	case len(m.prints) > 0 && !slices.Contains(m.prints, sha256.Sum256(leaf.Raw)):
		return false
	}
	return true
}
