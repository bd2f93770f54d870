package altname

import (
	"net"
	"net/url"
	"strings"
	"testing"
)

func TestEveryMalformedNameIsReported(t *testing.T) {
	names := Names{
		DNS:    []string{"good.example", "a b", "*.example.com"},
		URIs:   []*url.URL{{Scheme: "urn", Opaque: "x:1"}, {Path: "/relative"}},
		Emails: []string{"ops@example.com", "Ops <ops@example.com>"},
		IPs:    []net.IP{net.IPv4(192, 0, 2, 7), {1, 2, 3}},
	}
	for wildcards, want := range map[bool]int{false: 5, true: 4} {
		faults := names.Check(wildcards)
		if len(faults) != want {
			t.Errorf("faults %v, want %d", faults, want)
		}
		for _, f := range faults {
			if strings.Contains(f.Error(), "good.example") || strings.Contains(f.Error(), "192.0.2.7") {
				t.Errorf("a good name is reported: %v", f)
			}
		}
	}
}
