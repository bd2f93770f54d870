package crl

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A scope says for which of its issuer's certificates a list speaks: the
// issuing distribution point (RFC 5280 section 5.2.5). Zero: for all.
type scope struct {
	uris      []string // only those whose distribution points name one of these
	usersOnly bool
	casOnly   bool
}

// covers reports whether the list speaks for c (RFC 5280 section 6.3.3 (b)(2)).
func (s *scope) covers(c *x509.Certificate) bool {
	if s.usersOnly && c.IsCA || s.casOnly && !c.IsCA {
		return false
	}
	return s.uris == nil || s.named(c)
}

// named reports whether a distribution point of c names one of the scope's URIs.
func (s *scope) named(c *x509.Certificate) bool {
	return EachPoint(c, s.has)
}

// EachPoint calls f with the URIs that the distribution points of c (RFC 5280
// section 4.2.1.13) name, until f returns true, which is reported. Any of them
// will do: a point that promises some reasons only, or leads to the list of
// another issuer, is left out. f must not keep what it is given.
func EachPoint(c *x509.Certificate, f func(uri []byte) bool) bool {
	if len(c.CRLDistributionPoints) == 0 {
		return false
	}
	field := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }
	for i := range c.Extensions {
		if !c.Extensions[i].Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 31}) {
			continue
		}
		value := cryptobyte.String(c.Extensions[i].Value)
		var points, point, name, full cryptobyte.String
		var present bool
		if !value.ReadASN1(&points, cbasn1.SEQUENCE) {
			return false
		}
		for points.ReadASN1(&point, cbasn1.SEQUENCE) {
			if !point.ReadOptionalASN1(&name, &present, field(0).Constructed()) || !present || !point.Empty() ||
				!name.ReadASN1(&full, field(0).Constructed()) {
				continue
			}
			for !full.Empty() {
				var general cryptobyte.String
				var tag cbasn1.Tag
				if !full.ReadAnyASN1(&general, &tag) {
					break
				}
				if tag == field(6) && f(general) {
					return true
				}
			}
		}
	}
	return false
}

func (s *scope) has(uri []byte) bool {
	for _, u := range s.uris {
		if u == string(uri) {
			return true
		}
	}
	return false
}

// String says it in words and tells scopes apart; "" is everything.
func (s *scope) String() string {
	var parts []string
	switch {
	case s.usersOnly:
		parts = append(parts, "certificates of no CA")
	case s.casOnly:
		parts = append(parts, "certificates of CAs")
	}
	for _, u := range s.uris {
		parts = append(parts, fmt.Sprintf("distribution point %q", u))
	}
	return strings.Join(parts, ", ")
}

// parseScope reads an IssuingDistributionPoint and refuses what is not honored.
func parseScope(value cryptobyte.String) (scope, error) {
	var s scope
	malformed := errors.New("its issuing distribution point is malformed")
	var idp cryptobyte.String
	if !value.ReadASN1(&idp, cbasn1.SEQUENCE) || !value.Empty() {
		return s, malformed
	}
	field := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }
	var point cryptobyte.String
	var present bool
	if !idp.ReadOptionalASN1(&point, &present, field(0).Constructed()) {
		return s, malformed
	}
	if present {
		var names cryptobyte.String
		if !point.ReadASN1(&names, field(0).Constructed()) || !point.Empty() {
			return s, errors.New("its issuing distribution point has no full name; want one that names URIs")
		}
		s.uris = []string{}
		for !names.Empty() {
			var general cryptobyte.String
			var tag cbasn1.Tag
			if !names.ReadAnyASN1(&general, &tag) {
				return s, malformed
			}
			if tag == field(6) { // uniformResourceIdentifier
				s.uris = append(s.uris, string(general))
			}
		}
		if len(s.uris) == 0 {
			return s, errors.New("its issuing distribution point names no URI, by which alone lists are matched to certificates here")
		}
		slices.Sort(s.uris) // their order means nothing
	}
	flag := func(n uint8) (set bool, ok bool) {
		var v cryptobyte.String
		if !idp.ReadOptionalASN1(&v, &present, field(n)) {
			return false, false
		}
		if !present {
			return false, true
		}
		if len(v) != 1 || v[0] != 0 && v[0] != 0xff {
			return false, false
		}
		return v[0] == 0xff, true
	}
	var okUsers, okCAs, okIndirect, okAttributes bool
	var indirect, attributes bool
	s.usersOnly, okUsers = flag(1)
	s.casOnly, okCAs = flag(2)
	if idp.PeekASN1Tag(field(3)) {
		return s, errors.New("it covers some reasons for revocation only; supply a list for all reasons")
	}
	indirect, okIndirect = flag(4)
	attributes, okAttributes = flag(5)
	switch {
	case !okUsers || !okCAs || !okIndirect || !okAttributes || !idp.Empty():
		return s, malformed
	case indirect:
		return s, errors.New("it is an indirect list, which may hold certificates of other issuers; supply a list from each issuer itself")
	case attributes:
		return s, errors.New("it covers attribute certificates only")
	case s.usersOnly && s.casOnly:
		return s, errors.New("it says of itself that it covers neither CA nor other certificates")
	}
	return s, nil
}
