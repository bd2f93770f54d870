package servername

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ in, want, fault string }{
		{in: "", want: ""},
		{in: "api.example.com", want: "api.example.com"},
		{in: "API.Example.COM", want: "api.example.com"},
		{in: "api.example.com.", want: "api.example.com"},
		{in: "api.example.com:443", want: "api.example.com"},
		{in: "api.example.com.:443", want: "api.example.com"},
		{in: "api.example.com:", want: "api.example.com"},
		{in: "xn--bcher-kva.example", want: "xn--bcher-kva.example"},
		{in: "_dmarc.example.com", want: "_dmarc.example.com"},
		{in: "localhost", want: "localhost"},
		{in: "192.0.2.1:8443", want: "192.0.2.1"},
		{in: "[2001:DB8::1]", want: "2001:db8::1"},
		{in: "[2001:db8:0:0::1]:443", want: "2001:db8::1"},
		{in: "::1", want: "::1"},
		{in: "::FFFF:192.0.2.1", want: "::ffff:192.0.2.1"},
		{in: long + "." + long + "." + long + "." + long[:61], want: long + "." + long + "." + long + "." + long[:61]},

		{in: "api.example.com..", fault: "empty"},
		{in: ".", fault: "empty"},
		{in: ".example.com", fault: "empty"},
		{in: "a..b", fault: "empty"},
		{in: ":443", fault: "empty"},
		{in: "a\x00.example.com", fault: "belong"},
		{in: "a b", fault: "belong"},
		{in: "a\tb", fault: "belong"},
		{in: "a\r\nb", fault: "belong"},
		{in: "*.example.com", fault: "belong"},
		{in: "host,dns:internal", fault: "port"},
		{in: "user@host", fault: "belong"},
		{in: "host/path", fault: "belong"},
		{in: "host%2e", fault: "belong"},
		{in: "bücher.example", fault: "xn--"},
		{in: "a:b", fault: "port"},
		{in: "a:70000", fault: "port"},
		{in: "a:000443", fault: "port"},
		{in: "a:-1", fault: "port"},
		{in: "[::1", fault: "bracket"},
		{in: "[::1]x", fault: "bracket"},
		{in: "[::1]:x", fault: "bracket"},
		{in: "[::1]443", fault: "bracket"},
		{in: "[fe80::1%eth0]", fault: "IPv6"},
		{in: "[192.0.2.1]", fault: "IPv6"},
		{in: "[]", fault: "IPv6"},
		{in: "a:1:2", fault: "IPv6"},
		{in: long + "a.example", fault: "label is longer"},
		{in: long + "." + long + "." + long + "." + long[:62], fault: "at most 253"},
	} {
		got, err := Normalize(c.in)
		switch {
		case c.fault == "" && (err != nil || got != c.want):
			t.Errorf("Normalize(%q) = %q, %v; want %q", c.in, got, err, c.want)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("Normalize(%q) = %q, %v; want an error with %q", c.in, got, err, c.fault)
		}
	}
}

func TestNormalizeDoesNotAllocateForANormalName(t *testing.T) {
	for _, name := range []string{"api.example.com", "api.example.com:8443", "2001:db8::1", "192.0.2.1", ""} {
		if n := testing.AllocsPerRun(100, func() { Normalize(name) }); n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"", "a.b", "A.B.:1", "[::1]:443", "::1", "a..b", "a\x00b", "xn--a", "1.2.3.4", strings.Repeat("a.", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Normalize(s)
		if err != nil {
			if got != "" {
				t.Fatalf("%q: %q beside %v", s, got, err)
			}
			if len(err.Error()) > 600 {
				t.Fatalf("%q: an error of %d bytes", s, len(err.Error()))
			}
			return
		}
		if len(got) > maxName || strings.ContainsAny(got, " \x00\t\r\n/@[]*%,") || got != strings.ToLower(got) || strings.HasSuffix(got, ".") {
			t.Fatalf("%q: normal form %q", s, got)
		}
		if again, err := Normalize(got); err != nil || again != got {
			t.Fatalf("%q: the normal form %q becomes %q, %v", s, got, again, err)
		}
		if strings.Contains(s, ":") {
			return // has a port, or is an address
		}
		if upper, err := Normalize(strings.ToUpper(s)); err != nil || upper != got {
			t.Fatalf("%q in upper case becomes %q, %v; want %q", s, upper, err, got)
		}
	})
}
