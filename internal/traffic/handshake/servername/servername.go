package servername

import (
	"fmt"
	"net/netip"
	"strings"
)

// The longest name and label of RFC 1035 section 2.3.4, in characters.
const (
	maxName  = 253
	maxLabel = 63
)

// Normalize returns the one spelling under which policies and certificates
// are looked up: lower case, without port, without one trailing dot, IPv6
// addresses without brackets and in the form of RFC 5952. It is used for the
// server name of the ClientHello, for the Host of a request and for names in
// the configuration, so that the three can never disagree.
//
// The empty name, which means that the client named none, is its own normal
// form. Whatever is no host name of letters, digits, "-" and "_" is refused;
// an internationalized name has to come as its A-labels (RFC 5890).
//
// A name in normal form is returned as it is, without allocation.
func Normalize(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if s[0] == '[' {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", fmt.Errorf("server name %s: want a closing bracket after the IPv6 address", quote(s))
		}
		if rest := s[end+1:]; rest != "" && (rest[0] != ':' || !isPort(rest[1:])) {
			return "", fmt.Errorf("server name %s: want :PORT or nothing after the closing bracket", quote(s))
		}
		return normalizeIPv6(s[1:end])
	}
	host := s
	if colon := strings.IndexByte(s, ':'); colon >= 0 {
		if strings.IndexByte(s[colon+1:], ':') >= 0 {
			return normalizeIPv6(s)
		}
		if !isPort(s[colon+1:]) {
			return "", fmt.Errorf("server name %s: want a port of digits up to 65535 after the colon", quote(s))
		}
		host = s[:colon]
	}
	return normalizeHost(strings.TrimSuffix(host, "."))
}

func normalizeHost(host string) (string, error) {
	if len(host) > maxName {
		return "", fmt.Errorf("server name %s: %d characters, want at most %d", quote(host), len(host), maxName)
	}
	label, upper := 0, false
	for i := 0; i < len(host); i++ {
		c := host[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		case 'A' <= c && c <= 'Z':
			upper = true
			label++
		case c == '.' && label > 0:
			label = 0
		case c == '.':
			return "", fmt.Errorf("server name %s: a label is empty", quote(host))
		case c >= 0x80:
			return "", fmt.Errorf("server name %s: not ASCII; write an international name in its xn-- form", quote(host))
		default:
			return "", fmt.Errorf("server name %s: %q does not belong into a host name", quote(host), c)
		}
		if label > maxLabel {
			return "", fmt.Errorf("server name %s: a label is longer than %d characters", quote(host), maxLabel)
		}
	}
	if label == 0 {
		return "", fmt.Errorf("server name %s: a label is empty", quote(host))
	}
	if upper {
		return strings.ToLower(host), nil
	}
	return host, nil
}

func normalizeIPv6(s string) (string, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", fmt.Errorf("server name %s: not an IPv6 address", quote(s))
	}
	var buf [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")]byte
	if text := addr.AppendTo(buf[:0]); string(text) != s {
		return string(text), nil
	}
	return s, nil
}

// isPort accepts what RFC 3986 section 3.2.3 calls a port, the empty one too.
func isPort(s string) bool {
	if len(s) > len("65535") {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n <= 65535
}

// quote makes what a peer sent fit for a log line.
func quote(s string) string {
	if len(s) > 80 {
		return fmt.Sprintf("%q and %d more bytes", s[:80], len(s)-80)
	}
	return fmt.Sprintf("%q", s)
}
