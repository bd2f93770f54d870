package altname

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
)

// MaxNames bounds the subject alternative names of one certificate, so that
// checking it stays cheap for everybody who will ever see it (CVE-2026-27145).
const MaxNames = 100

// Names are subject alternative names (RFC 5280 section 4.2.1.6), each in its
// own type: one never stands for another.
type Names struct {
	DNS    []string
	URIs   []*url.URL
	Emails []string
	IPs    []net.IP
}

// Len counts all names.
func (n Names) Len() int { return len(n.DNS) + len(n.URIs) + len(n.Emails) + len(n.IPs) }

// Check returns every name that is not well-formed, as one error each.
// Wildcards are for servers: a client called *.example.com is nobody.
func (n Names) Check(wildcards bool) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if n.Len() > MaxNames {
		fault("%d alternative names: expected at most %d", n.Len(), MaxNames)
	}
	for _, s := range n.DNS {
		if why := dnsFault(s, wildcards); why != "" {
			fault("dns name %q: %s", s, why)
		}
	}
	for _, u := range n.URIs {
		if why := uriFault(u); why != "" {
			fault("uri %q: %s", u, why)
		}
	}
	for _, s := range n.Emails {
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || !printableASCII(s) {
			fault("email %q: expected a plain address such as ops@example.com", s)
		}
	}
	for _, ip := range n.IPs {
		if a, ok := netip.AddrFromSlice(ip); !ok || a.Unmap().IsUnspecified() {
			fault("ip %s: expected the address of one host", ip)
		}
	}
	return faults
}

// dnsFault returns why s is not a host name: letters, digits, hyphens and
// (they exist, and hurt nobody) underscores in labels of 1 to 63 (RFC 1123
// section 2.1), a name of at most 253; internationalized names as A-labels.
func dnsFault(s string, wildcards bool) string {
	if len(s) == 0 || len(s) > 253 {
		return "expected 1 to 253 characters"
	}
	labels := strings.Split(s, ".")
	if labels[0] == "*" {
		if !wildcards {
			return "a wildcard is for servers: name one host"
		}
		if len(labels) < 3 {
			return "a wildcard needs at least two labels after it"
		}
		labels = labels[1:]
	}
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 {
			return "expected labels of 1 to 63 characters between single dots, and no dot at the end"
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return "a label begins or ends with a hyphen"
		}
		for _, c := range []byte(label) {
			if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return fmt.Sprintf("has the character %q: expected letters, digits, hyphens (other scripts in xn-- form)", c)
			}
		}
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return "is an IP address: write ip:" + s
	}
	return ""
}

func uriFault(u *url.URL) string {
	switch s := u.String(); {
	case u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "":
		return "expected an absolute URI such as spiffe://example.com/device/7 or urn:dev:mac:0024befffe804ff1"
	case !printableASCII(s) || len(s) > 2048:
		return "expected at most 2048 printable ASCII characters"
	case u.User != nil:
		return "has a user name or password in it"
	}
	return ""
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0
}
