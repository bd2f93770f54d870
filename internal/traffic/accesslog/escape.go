package accesslog

import (
	"unicode/utf8"
)

const upperHex, lowerHex = "0123456789ABCDEF", "0123456789abcdef"

// appendEscaped appends s with every byte that could end a field or a line, or
// that a terminal would act upon, as \xHH. Without quotes around the field a
// space ends it too.
func appendEscaped[T string | []byte](dst []byte, s T, quoted bool) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c > ' ' && c < 0x7f && c != '"' && c != '\\' || c == ' ' && quoted {
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = append(dst, '\\', 'x', upperHex[c>>4], upperHex[c&15])
		start = i + 1
	}
	return append(dst, s[start:]...)
}

// appendJSONString appends s as a JSON string (RFC 8259 section 7) of printable
// ASCII. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		size := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < utf8.RuneSelf:
			dst = appendUnicode(dst, rune(c))
		default:
			var r rune
			// Only the bytes of one rune: no copy of the rest, no allocation.
			r, size = utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r >= 0x10000 { // a surrogate pair
				r -= 0x10000
				dst = appendUnicode(dst, 0xd800+r>>10)
				r = 0xdc00 + r&0x3ff
			}
			dst = appendUnicode(dst, r)
		}
		i += size
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendUnicode(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', lowerHex[r>>12&15], lowerHex[r>>8&15], lowerHex[r>>4&15], lowerHex[r&15])
}
