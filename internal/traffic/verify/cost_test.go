package verify_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// hostile are chains that anybody can make, and that were costly somewhere:
// each with the code that it is refused with.
func hostile(t testing.TB, root *testpki.Certificate) map[string]attempt {
	stranger, namesake := testpki.NewRoot(t, "X"), testpki.NewRoot(t, "Root")
	slow := testpki.HugeRSA(t, 8192)
	below := func(ca *testpki.Certificate, name string, opts ...testpki.Option) []*x509.Certificate {
		all := []*x509.Certificate{ca.Client("d").X509}
		for range 9 {
			all = append(all, ca.Intermediate(name, opts...).X509)
		}
		return all
	}
	return map[string]attempt{
		"nine intermediates of one name":                    {below(stranger, "X"), countersign.ClientCertUntrusted}, // CVE-2026-32280
		"nine intermediates of one name, RSA 8192":          {below(stranger, "X", testpki.PublicKey(slow)), countersign.ClientCertUntrusted},
		"nine intermediates of the anchor's name, RSA 8192": {below(namesake, "Root", testpki.PublicKey(slow)), countersign.ClientCertUntrusted},
		"a hundred intermediates":                           {append(below(stranger, "X"), make([]*x509.Certificate, 91)...), countersign.ClientCertMaxChainDepthExceeded},
		"a leaf with RSA 16384":                             {root.Client("d", testpki.PublicKey(testpki.HugeRSA(t, 16384))).Chain(), countersign.ClientCertTypeUnsupported},
		"ten thousand DNS names":                            {names(t, root, 10000, 0), countersign.ClientCertMaxSizeExceeded},
		"four thousand DNS names":                           {names(t, root, 4000, 0), countersign.ClientCertInvalid},
		"a thousand and one URIs":                           {names(t, root, 0, 1001), countersign.ClientCertInvalid},
	}
}

type attempt struct {
	presented []*x509.Certificate
	code      countersign.Code
}

// names is a leaf with many alternative names.
func names(t testing.TB, root *testpki.Certificate, dns, uris int) []*x509.Certificate {
	uri, err := url.Parse("a://b/c")
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "d"}}
	for range dns {
		c.DNSNames = append(c.DNSNames, "a.example")
	}
	for range uris {
		c.URIs = append(c.URIs, uri)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, root.X509, root.Key.Public(), root.Key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{c}
}

// What strangers present costs less than what a client costs that is let in:
// in allocations, which, unlike time, are the same on every machine. How many
// signatures are checked, package vouch tests.
func TestHostileChainsAllocateLessThanGoodOnes(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	s := store(t, verify.Config{Remember: -1}, root)
	good := root.Intermediate("Issuing").Client("device").Chain()
	ordinary := testing.AllocsPerRun(20, func() {
		if _, d := s.Verify(good, verify.Options{}); d != nil {
			t.Fatal(d)
		}
	})
	for name, a := range hostile(t, root) {
		var denial *countersign.Denial
		n := testing.AllocsPerRun(5, func() { _, denial = s.Verify(a.presented, verify.Options{}) })
		if denial == nil || denial.Code != a.code {
			t.Errorf("%s: %v; want %s", name, denial, a.code)
			continue
		}
		instructive(t, a.presented[:1], denial)
		if name == "nine intermediates of one name, RSA 8192" && strings.Contains(denial.Reason, "not signed by the key") {
			t.Errorf("a stranger's key was used to find words: %s", denial.Reason)
		}
		if n > 10*ordinary {
			t.Errorf("%s: %v allocations; a good chain takes %v", name, n, ordinary)
		}
	}
}

// Whose CA has name constraints, and whose names are as many as may be, is
// compared in proportion to both (CVE-2025-58187), not to their product.
func TestNamesAndConstraintsAreNotMultiplied(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	work := func(constraints, names int) float64 {
		var domains, claimed []string
		for i := range constraints {
			domains = append(domains, strings.Repeat("a", i%50+1)+"."+big.NewInt(int64(i)).String()+".example")
		}
		for range names {
			claimed = append(claimed, "device.fleet.example")
		}
		s := store(t, verify.Config{Remember: -1}, root)
		chain := root.Intermediate("Narrow", testpki.ExcludedDNS(domains...)).Client("d", testpki.DNS(claimed...)).Chain()
		return testing.AllocsPerRun(3, func() {
			if _, d := s.Verify(chain, verify.Options{}); d != nil {
				t.Fatal(d)
			}
		})
	}
	one := work(1, 1)
	if got := work(500, 1000); got > one+20*(500+1000) {
		t.Errorf("500 constraints and 1000 names: %v allocations; one of each %v", got, one)
	}
}

// insider is the worst that a CA of the fleet can have a client present:
// certificates of one name and key, which seem to issue each other in every order.
func insider(root *testpki.Certificate) []*x509.Certificate {
	ca := root.Intermediate("X")
	presented := []*x509.Certificate{ca.Client("d").X509, ca.X509}
	for i := range 8 {
		presented = append(presented, ca.Intermediate("X", testpki.WithKey(ca.Key), testpki.DNS(string(rune('a'+i))+".example")).X509)
	}
	return presented
}

// It is let in, since the CA vouches for it, and costs a bounded multiple of
// another client, in memory nothing: crypto/x509 gives up after 100 signature
// checks, and what it has found until then counts.
func TestACAOfTheFleetCostsABoundedMultiple(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	s := store(t, verify.Config{}, root)
	chain := insider(root)
	passed := false
	n := testing.AllocsPerRun(3, func() {
		c, d := s.Verify(chain, verify.Options{})
		passed = d == nil && c.Verified()
	})
	if !passed {
		t.Error("refused")
	}
	if n > 10000 {
		t.Errorf("%v allocations", n)
	}
	if got := s.Remembered(); got != 0 {
		t.Errorf("%d chains with many paths are remembered", got)
	}
}

func BenchmarkHostile(b *testing.B) {
	root := testpki.NewRoot(b, "Root")
	all := hostile(b, root)
	all["ordinary"] = attempt{presented: root.Intermediate("Issuing").Client("device").Chain()}
	all["a CA of the fleet against it"] = attempt{presented: insider(root)}
	all["ordinary RSA 2048"] = attempt{presented: root.Intermediate("Issuing", testpki.Key(testpki.RSA2048)).Client("device").Chain()}
	for name, a := range all {
		s := store(b, verify.Config{Remember: -1}, root)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, d := s.Verify(a.presented, verify.Options{}); (d == nil) != (a.code == "") {
					b.Fatal(d)
				}
			}
		})
	}
}
