package http1

import (
	"encoding/binary"
	"math/bits"
)

// tchar holds the octets of a token (RFC 9110 section 5.6.2).
var tchar = octets("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

// regName holds the octets of a host name: the unreserved ones of RFC 3986
// section 2.3. The percent-encoded and sub-delims of its reg-name never occur
// in a name that DNS or a certificate could hold, and would only serve to spell
// one name in two ways.
var regName = octets("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

// lower maps A-Z to a-z and every other octet to itself.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// hexValue maps a hexadecimal digit to its value and every other octet to 0xff.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range 10 {
		t['0'+i] = byte(i)
	}
	for i := range 6 {
		t['a'+i], t['A'+i] = byte(10+i), byte(10+i)
	}
	return t
}()

func octets(s string) (t [256]bool) {
	for i := range len(s) {
		t[s[i]] = true
	}
	return t
}

// inValue reports whether c may stand in a field value or a reason phrase:
// VCHAR, obs-text, SP, HTAB (RFC 9110 section 5.5, RFC 9112 section 4).
func inValue(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }

// valueEnd returns the index of the first octet of b, from i on, that may not
// stand in a field value, or len(b). It looks at eight octets at a time.
func valueEnd(b []byte, i int) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x80 * ones
	)
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		// High bit set where an octet is below SP, or is DEL. The lowest one set
		// is exact; those above it may be carries.
		bad := (x-' '*ones)&^x&highs | (del-ones)&^del&highs
		if bad == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(bad) / 8
		if b[i] != '\t' {
			return i
		}
		i++
	}
	for i < len(b) && inValue(b[i]) {
		i++
	}
	return i
}

// FoldEqual reports whether a is lower in any mixture of cases. The letters of
// lower have to be small; only A-Z are folded.
func FoldEqual(a []byte, lowered string) bool {
	if len(a) != len(lowered) {
		return false
	}
	for i, c := range a {
		if lower[c] != lowered[i] {
			return false
		}
	}
	return true
}

// sameFold reports whether a and b are equal but for the case of A-Z.
func sameFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower[c] != lower[b[i]] {
			return false
		}
	}
	return true
}

// HasToken reports whether the comma-separated list value has token as an
// element (RFC 9110 section 5.6.1), whatever the case of A-Z. An element is
// compared as a whole, so that "close;x" is not "close".
func HasToken(value, token []byte) bool {
	for len(value) > 0 {
		var e []byte
		if e, value = element(value); len(e) > 0 && sameFold(e, token) {
			return true
		}
	}
	return false
}

// element splits a comma-separated list into its first element, without the
// white space around it, and what follows the comma. Elements may be empty.
func element(list []byte) (first, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}

// trim removes optional white space (SP, HTAB) from both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// isToken reports whether b is a token (RFC 9110 section 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if !tchar[c] {
			return false
		}
	}
	return len(b) > 0
}
