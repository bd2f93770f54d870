package reading

import "bytes"

// literal holds the octets that are written as they are: those that RFC 3986 has in
// pchar, and "/". All others are percent-encoded, in capitals.
var literal = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/" {
		t[c] = true
	}
	return t
}()

// Plain reports whether path can be read in one way only: there is nothing to
// decode, nothing to resolve, nothing to cut off.
func Plain(path []byte) bool {
	for i, c := range path {
		switch {
		case !literal[c], c == ';':
			return false
		case c == '/' && i > 0 && path[i-1] == '/':
			return false
		case c == '.' && i > 0 && path[i-1] == '/' && dots(path[i:]) > 0:
			return false
		}
	}
	return true
}

// dots returns the length of the "." or ".." that is the whole first segment of p, 0
// if it is neither.
func dots(p []byte) int {
	n := bytes.IndexByte(p, '/')
	if n < 0 {
		n = len(p)
	}
	if n == 1 && p[0] == '.' || n == 2 && p[0] == '.' && p[1] == '.' {
		return n
	}
	return 0
}

// AppendSpelled appends path with each octet spelled in the one way there is for it
// (RFC 3986 section 6.2.2): encoded where it has to be, else not. What is encoded
// that would separate something were it not, "/" or ";", stays encoded.
func AppendSpelled(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if octet, ok := encoded(path[i:]); ok {
			i += 2
			if octet == '/' || octet == ';' {
				dst = appendEncoded(dst, octet)
				continue
			}
			c = octet
		}
		dst = appendOctet(dst, c)
	}
	return dst
}

// AppendResolved appends a path that is spelled, without "." and ".." (RFC 3986
// section 5.2.4) and without empty segments, that of a slash at the end aside.
func AppendResolved(dst, path []byte) []byte {
	start := len(dst)
	for i := 0; i < len(path); {
		if path[i] == '/' {
			i++
			if len(dst) == start || dst[len(dst)-1] != '/' {
				dst = append(dst, '/')
			}
			continue
		}
		end := bytes.IndexByte(path[i:], '/')
		if end < 0 {
			end = len(path)
		} else {
			end += i
		}
		switch n := dots(path[i:]); {
		case n == 1:
		case n == 2 && len(dst) > start:
			dst = dst[:len(dst)-1] // the slash behind the segment before
			for len(dst) > start && dst[len(dst)-1] != '/' {
				dst = dst[:len(dst)-1]
			}
			if len(dst) == start {
				dst = append(dst, '/')
			}
		case n == 0:
			dst = append(dst, path[i:end]...)
		}
		i = end
	}
	return dst
}

// AppendLenient appends what the most lenient of targets make of path: they decode
// it twice, take "\" for "/", and cut off what follows a ";" in a segment. scratch
// is used on the way, and returned to be used again.
func AppendLenient(dst, scratch, path []byte) (lenient, used []byte) {
	once := decode(scratch[:0], path)
	n := len(once)
	once = decode(once, once[:n])
	twice := once[n:]
	start := len(once)
	parameter := false
	for _, c := range twice {
		if c == '\\' {
			c = '/'
		}
		parameter = parameter && c != '/' || c == ';'
		if !parameter {
			once = appendOctet(once, c)
		}
	}
	return AppendResolved(dst, once[start:]), once
}

// Broken reports whether path has an octet that no path has a use for: a control
// character, at which some targets cut off the rest, or one of an overlong form
// (RFC 3629 section 3), which some take for another character.
func Broken(path []byte) bool {
	for i := range path {
		c, ok := encoded(path[i:])
		if !ok {
			continue
		}
		if c < 0x20 || c == 0x7f || c == 0xc0 || c == 0xc1 {
			return true
		}
		if next, ok := encoded(path[i+3:]); ok && (c == 0xe0 && next < 0xa0 || c == 0xf0 && next < 0x90) {
			return true
		}
	}
	return false
}

func decode(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if octet, ok := encoded(path[i:]); ok {
			c = octet
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}

// encoded returns the octet that p begins with, if that is percent-encoded.
func encoded(p []byte) (byte, bool) {
	if len(p) < 3 || p[0] != '%' {
		return 0, false
	}
	high, low := digit(p[1]), digit(p[2])
	return high<<4 | low, high < 16 && low < 16
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0xff
}

func appendOctet(dst []byte, c byte) []byte {
	if literal[c] {
		return append(dst, c)
	}
	return appendEncoded(dst, c)
}

func appendEncoded(dst []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '%', digits[c>>4], digits[c&15])
}

// Resolved is the path that rules are asked about.
func Resolved(path []byte) []byte {
	if Plain(path) {
		return path
	}
	return AppendResolved(nil, AppendSpelled(nil, path))
}

// AppendForm appends a name or a value of a query as forms have them: decoded, "+"
// being a blank.
func AppendForm(dst, text []byte) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if octet, ok := encoded(text[i:]); ok {
			c = octet
			i += 2
		} else if c == '+' {
			c = ' '
		}
		dst = append(dst, c)
	}
	return dst
}
