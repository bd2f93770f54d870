package idheader

import "strings"

// Stripped reports whether a client must not be allowed to send a header of
// that name, because some backend takes it for the word of a proxy about the
// client's certificate: every field of every dialect, configured or not, and
// what other proxies and servers use. Names are compared as the most lenient
// backend reads them: case folded, "_" and "." as "-" (CVE-2026-52845,
// CVE-2025-64484), and so all other punctuation, from which lighttpd too makes
// the "_" of HTTP_X_SSL_CLIENT_VERIFY. It does not allocate.
func Stripped(name []byte) bool {
	// Two letters tell most names apart from these, few get to a comparison.
	if len(name) < len("x-ssl") {
		return false
	}
	switch second := name[1] | 0x20; name[0] | 0x20 {
	case 'c':
		return second == 'l' && (hasPrefix(name, "client-cert") || hasPrefix(name, "client-verify"))
	case 's':
		return second == 's' && (hasPrefix(name, "ssl-client") || hasPrefix(name, "ssl-cert"))
	case 't':
		return second == 'l' && hasPrefix(name, "tls-client")
	case 'x':
		return strippedX(name)
	}
	return false
}

// strippedX is Stripped for names of five bytes or more that begin with x.
func strippedX(name []byte) bool {
	switch name[2] | 0x20 {
	case 'a':
		return hasPrefix(name, "x-amzn-mtls") || hasPrefix(name, "x-arr-clientcert") ||
			isName(name, "x-auth-subject") || isName(name, "x-auth-type") || isName(name, "x-auth-credential")
	case 'c':
		return hasPrefix(name, "x-clientcert") || hasPrefix(name, "x-client-") && strippedXClient(name[len("x-client-"):])
	case 'd':
		return isName(name, "x-device-id") || isName(name, "x-device-state")
	case 'f':
		if len(name) < len("x-forwarded-c") {
			return false
		}
		switch name[len("x-forwarded-")] | 0x20 {
		case 'c':
			return hasPrefix(name, "x-forwarded-client-cert")
		case 's':
			return hasPrefix(name, "x-forwarded-ssl-client")
		case 't':
			return hasPrefix(name, "x-forwarded-tls-client")
		}
	case 'm':
		return hasPrefix(name, "x-mtls")
	case 's':
		return hasPrefix(name, "x-ssl")
	case 't':
		return hasPrefix(name, "x-tls-client")
	}
	return false
}

// strippedXClient is Stripped for what follows x-client-.
func strippedXClient(rest []byte) bool {
	return hasPrefix(rest, "cert") || hasPrefix(rest, "verif") || hasPrefix(rest, "fingerprint") ||
		hasWord(rest, "s-dn") || hasWord(rest, "i-dn") || hasWord(rest, "dn") || hasWord(rest, "cn") || hasWord(rest, "san") ||
		hasWord(rest, "identity-token") || hasWord(rest, "subject") || hasWord(rest, "issuer") || hasWord(rest, "serial") ||
		hasWord(rest, "ssl") || hasWord(rest, "tls") || hasWord(rest, "mtls")
}

// Strips is Stripped, and true for the names that p's own headers have or that
// its Config says to strip.
func (p *Plan) Strips(name []byte) bool {
	return Stripped(name) || p != nil && p.names.has(name)
}

// names is a set of folded names.
type names struct {
	lengths uint64 // bit n: a name of n bytes, modulo 64, is in the set
	folded  []string
}

func (n *names) add(folded string) {
	n.lengths |= 1 << (len(folded) & 63)
	n.folded = append(n.folded, folded)
}

func (n *names) has(name []byte) bool {
	if n.lengths>>(len(name)&63)&1 == 0 {
		return false
	}
	for _, f := range n.folded {
		if isName(name, f) {
			return true
		}
	}
	return false
}

// fold maps a byte of a name to the one it is compared as.
func fold(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return '-'
}

func foldString(name string) string {
	var b strings.Builder
	for i := range len(name) {
		b.WriteByte(fold(name[i]))
	}
	return b.String()
}

// hasPrefix reports whether name, folded, begins with prefix, which is folded.
func hasPrefix(name []byte, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if fold(name[i]) != prefix[i] {
			return false
		}
	}
	return true
}

// isName is hasPrefix for the whole name.
func isName(name []byte, folded string) bool {
	return len(name) == len(folded) && hasPrefix(name, folded)
}

// hasWord is hasPrefix for a prefix that is followed by "-" or nothing.
func hasWord(name []byte, word string) bool {
	return hasPrefix(name, word) && (len(name) == len(word) || fold(name[len(word)]) == '-')
}
