package verify

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"countersign.dev/internal/wire/san"
)

var (
	oidCommonName         = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganizationalUnit = asn1.ObjectIdentifier{2, 5, 4, 11}
)

// everyAttribute reports whether the subject has that attribute and each value
// of it matches.
func everyAttribute(subject *pkix.Name, oid asn1.ObjectIdentifier, patterns []string) bool {
	found := false
	for i := range subject.Names {
		if a := &subject.Names[i]; a.Type.Equal(oid) {
			if text, ok := a.Value.(string); !ok || !matchAny(patterns, text, false) {
				return false
			}
			found = true
		}
	}
	return found
}

// anyAttribute reports whether a value of that attribute matches.
func anyAttribute(subject *pkix.Name, oid asn1.ObjectIdentifier, patterns []string) bool {
	for i := range subject.Names {
		if a := &subject.Names[i]; a.Type.Equal(oid) {
			if text, ok := a.Value.(string); ok && matchAny(patterns, text, false) {
				return true
			}
		}
	}
	return false
}

// anyAlternativeName reports whether a subject alternative name of one kind
// matches, before the first that cannot be read.
func anyAlternativeName(leaf *x509.Certificate, want san.Kind, patterns []string) bool {
	names := san.Of(leaf)
	for kind, value, ok := names.Next(); ok; kind, value, ok = names.Next() {
		if kind == want && matchAny(patterns, value, kind == san.DNS) {
			return true
		}
	}
	return false
}

// matchAny reports whether value matches one of the patterns; foldCase ignores
// the case of ASCII letters.
func matchAny[V string | []byte](patterns []string, value V, foldCase bool) bool {
	for i := range len(value) {
		if value[i] == 0 {
			return false // "admin\x00.attacker" is "admin" to a C program
		}
	}
	for _, p := range patterns {
		if match(p, value, foldCase) {
			return true
		}
	}
	return false
}

// match compares value with a pattern in which "*" is any run of bytes. When a
// byte does not fit, only the last star takes one byte more: earlier ones never
// need to, so that the time is at most len(pattern) * len(value).
func match[V string | []byte](pattern string, value V, foldCase bool) bool {
	p, v := 0, 0
	star, resume := -1, 0
	for v < len(value) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, v
			p++
		case p < len(pattern) && equalByte(pattern[p], value[v], foldCase):
			p++
			v++
		case star >= 0:
			resume++
			p, v = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func equalByte(a, b byte, foldCase bool) bool {
	if a == b {
		return true
	}
	lower := a | 0x20
	return foldCase && lower == b|0x20 && 'a' <= lower && lower <= 'z'
}
