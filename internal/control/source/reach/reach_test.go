package reach_test

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"countersign.dev/internal/control/source/reach"
)

func TestOnlyListedHostsAreAsked(t *testing.T) {
	h := reach.New([]string{"crl.example.com", "*.ca.example.com", "192.0.2.7", "10.0.0.0/8", "2001:db8::/32"})
	for _, url := range []string{
		"http://crl.example.com/a.crl", "https://CRL.example.com./a.crl", "http://crl.example.com:8080/a?b=c",
		"http://a.ca.example.com/", "http://a.b.ca.example.com/", "http://192.0.2.7/a.crl", "http://10.255.0.1:80/",
		"http://[2001:db8::1]/", "http://[::ffff:10.0.0.1]/",
	} {
		if err := h.Check(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for url, want := range map[string]string{
		"http://crl.example.com.evil.test/":                   "does not list crl.example.com.evil.test",
		"http://evil.test/crl.example.com":                    "does not list evil.test",
		"http://ca.example.com/":                              "does not list",
		"http://xca.example.com/":                             "does not list",
		"http://.ca.example.com/":                             "does not list",
		"http://127.0.0.1/":                                   "does not list 127.0.0.1",
		"http://localhost/":                                   "does not list localhost",
		"http://0x7f.1/":                                      "does not list",
		"http://192.0.2.8/":                                   "does not list",
		"http://[fe80::1%25eth0]/":                            "does not list",
		"ldap://crl.example.com/cn=a":                         "want http:// or https://",
		"file:///etc/passwd":                                  "want http:// or https://",
		"gopher://crl.example.com/":                           "want http:// or https://",
		"http://crl.example.com@evil.test/":                   "has a user name",
		"http://evil.test\\@crl.example.com/":                 "no URL",
		"http:///a.crl":                                       "names no host",
		"crl.example.com/a.crl":                               "want http:// or https://",
		"http://crl.example.com/\r\nHost: other":              "which no URL has",
		"http://crl.example.com/ä":                            "which no URL has",
		"http://crl.example.com/%zz":                          "no URL",
		"http://crl.example.com/" + strings.Repeat("a", 3000): "want at most 2048",
		"": "want http:// or https://",
	} {
		if err := h.Check(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v, want %q", url, err, want)
		}
	}
	if err := new(reach.Hosts).Check("http://crl.example.com/"); err == nil {
		t.Error("nobody is listed, and somebody is asked")
	}
}

// That a name is listed says nothing of the address that it leads to.
func TestTheDialedAddressIsChecked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dial := func(host string, listed ...string) error {
		conn, err := reach.New(listed).DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := dial("localhost", "crl.example.com"); err == nil || !strings.Contains(err.Error(), "is not a public address") {
		t.Errorf("a name that leads to this machine: %v", err)
	}
	for _, listed := range []string{"localhost", "127.0.0.1", "127.0.0.0/8"} {
		if err := dial("127.0.0.1", listed); err != nil {
			t.Errorf("%s is listed: %v", listed, err)
		}
	}
	for _, ip := range []string{
		"127.0.0.1", "127.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0", "0.1.2.3",
		"100.64.0.1", "100.100.100.200", "192.0.0.8", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
		"::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1",
		"64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:c0a8:101::1",
	} {
		if reach.Public(ip) {
			t.Errorf("%s counts as public", ip)
		}
	}
	for _, ip := range []string{"192.0.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8"} {
		if !reach.Public(ip) {
			t.Errorf("%s does not count as public", ip)
		}
	}
}

// Whatever a certificate says: what may be asked has a listed host.
func FuzzCheck(f *testing.F) {
	h := reach.New([]string{"crl.example.com", "*.ca.example.com", "10.0.0.0/8"})
	for _, s := range []string{"http://crl.example.com/a.crl", "https://a.ca.example.com:8443", "http://10.1.2.3/", "http://[::ffff:10.0.0.1]/", "ldap:///", "http://a@b/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if h.Check(s) != nil {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q may be asked: %v", s, err)
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		ip, _ := netip.ParseAddr(host)
		if host != "crl.example.com" && !strings.HasSuffix(host, ".ca.example.com") && !(ip.IsValid() && ip.IsPrivate() || ip.Is4In6()) {
			t.Errorf("%q may be asked", s)
		}
	})
}
