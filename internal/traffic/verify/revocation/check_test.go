package revocation_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

func parse(t testing.TB, ders ...[]byte) []*crl.List {
	t.Helper()
	var all []*crl.List
	for _, der := range ders {
		l, err := crl.Parse("test.crl", der)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l...)
	}
	return all
}

func path(c *testpki.Certificate) []*x509.Certificate {
	p := []*x509.Certificate{}
	for ; c != nil; c = c.Issuer {
		p = append(p, c.X509)
	}
	return p
}

// scopeOf makes a critical issuing distribution point of the content of its SEQUENCE.
func scopeOf(content string) testpki.CRLOption {
	return testpki.CRLExtension(true, []byte("\x30"+string(rune(len(content)))+content), 2, 5, 29, 28)
}

// partition makes one that names a URI.
func partition(uri string) testpki.CRLOption {
	name := "\x86" + string(rune(len(uri))) + uri
	full := "\xa0" + string(rune(len(name))) + name
	return scopeOf("\xa0" + string(rune(len(full))) + full)
}

func TestCheck(t *testing.T) {
	now := time.Now()
	hours := func(this, next int) testpki.CRLOption {
		return testpki.CRLValid(now.Add(time.Duration(this)*time.Hour), now.Add(time.Duration(next)*time.Hour))
	}
	root, twin := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	midTwin := root.Intermediate("Issuing")
	leaf := mid.Client("device", testpki.Serial("1234"))
	direct := root.Client("direct", testpki.Serial("1234"))
	ofTwin := twin.Client("other", testpki.Serial("1234"))
	uriA := func(tpl *x509.Certificate) { tpl.CRLDistributionPoints = []string{"http://a/"} }
	inA := mid.Client("in A", testpki.Template(uriA))
	mute := root.Intermediate("Mute", testpki.KeyUsage(x509.KeyUsageCertSign))

	for _, tt := range []struct {
		name  string
		cfg   revocation.Config
		lists [][]byte
		path  []*x509.Certificate
		code  countersign.Code
		words string
	}{
		{name: "no lists", path: path(leaf)},
		{name: "no lists, refuse", cfg: revocation.Config{Missing: revocation.Refuse}, path: path(leaf), code: countersign.ClientCertCrlProcessingError, words: "no revocation list"},
		{name: "not listed", lists: [][]byte{mid.CRL()}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(leaf)},
		{name: "listed", lists: [][]byte{mid.CRL(testpki.Revoke(leaf))}, path: path(leaf), code: countersign.ClientCertCrlHit, words: "serial 1234"},
		{name: "listed with reason", lists: [][]byte{mid.CRL(testpki.RevokeSerial(leaf.X509.SerialNumber, 1))}, path: path(leaf), code: countersign.ClientCertCrlHit, words: "keyCompromise"},
		{name: "on the second list", lists: [][]byte{mid.CRL(testpki.CRLNumber(2)), mid.CRL(testpki.CRLNumber(1), testpki.Revoke(leaf))}, path: path(leaf), code: countersign.ClientCertCrlHit},
		{name: "on an old list", lists: [][]byte{mid.CRL(), mid.CRL(hours(-9, -8), testpki.Revoke(leaf))}, path: path(leaf), code: countersign.ClientCertCrlHit},
		{name: "the same serial of another issuer", lists: [][]byte{root.CRL(testpki.Revoke(leaf))}, path: path(leaf)},
		{name: "list of another issuer does not speak", lists: [][]byte{root.CRL()}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(leaf), code: countersign.ClientCertCrlProcessingError},

		{name: "CA of the same name: its list hits", lists: [][]byte{root.CRL(testpki.Revoke(direct)), twin.CRL()}, path: path(direct), code: countersign.ClientCertCrlHit},
		{name: "CA of the same name: the other's does not", lists: [][]byte{root.CRL(testpki.Revoke(direct)), twin.CRL()}, path: path(ofTwin)},
		{name: "CA of the same name: the other's does not speak", lists: [][]byte{root.CRL()}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(ofTwin), code: countersign.ClientCertCrlProcessingError},
		{name: "intermediate of the same name", lists: [][]byte{midTwin.CRL(testpki.Revoke(leaf))}, path: path(leaf)},
		{name: "intermediate of the same name, without key identifiers", lists: [][]byte{withoutKeyID(t, midTwin)}, path: path(leaf), code: countersign.ClientCertCrlProcessingError, words: "is not signed by the issuer"},
		{name: "the same, beside a good one", lists: [][]byte{withoutKeyID(t, midTwin), mid.CRL()}, path: path(leaf)},
		{name: "damaged signature", lists: [][]byte{damaged(mid.CRL())}, path: path(leaf), code: countersign.ClientCertCrlProcessingError, words: "is not signed by the issuer"},
		{name: "issuer may not sign lists", lists: [][]byte{mute.CRL()}, path: path(mute.Client("d")), code: countersign.ClientCertCrlProcessingError, words: "cRLSign"},

		{name: "out of date", lists: [][]byte{mid.CRL(hours(-48, -1))}, path: path(leaf), code: countersign.ClientCertCrlProcessingError, words: "should have been replaced"},
		{name: "out of date, in grace", lists: [][]byte{mid.CRL(hours(-48, -1))}, cfg: revocation.Config{Grace: 2 * time.Hour}, path: path(leaf)},
		{name: "out of date, grace over", lists: [][]byte{mid.CRL(hours(-48, -3))}, cfg: revocation.Config{Grace: 2 * time.Hour}, path: path(leaf), code: countersign.ClientCertCrlProcessingError, words: "the grace of 2h0m0s is over"},
		{name: "out of date, accepted", lists: [][]byte{mid.CRL(hours(-48, -1))}, cfg: revocation.Config{Stale: revocation.Accept, Missing: revocation.Refuse}, path: path(leaf)},
		{name: "out of date beside one in date", lists: [][]byte{mid.CRL(hours(-48, -1)), mid.CRL(testpki.CRLNumber(2))}, path: path(leaf)},
		{name: "dated in the future", lists: [][]byte{mid.CRL(hours(1, 48))}, path: path(leaf), code: countersign.ClientCertCrlProcessingError, words: "in the future"},
		{name: "dated in the future, listed", lists: [][]byte{mid.CRL(hours(1, 48), testpki.Revoke(leaf))}, path: path(leaf), code: countersign.ClientCertCrlHit},

		{name: "intermediate listed, scope leaf", lists: [][]byte{root.CRL(testpki.Revoke(mid))}, path: path(leaf)},
		{name: "intermediate listed, scope chain", lists: [][]byte{root.CRL(testpki.Revoke(mid))}, cfg: revocation.Config{Scope: revocation.ScopeChain}, path: path(leaf),
			code: countersign.ClientCertCrlHit, words: "CN=Issuing"},
		{name: "scope chain, a list missing", lists: [][]byte{mid.CRL()}, cfg: revocation.Config{Scope: revocation.ScopeChain, Missing: revocation.Refuse}, path: path(leaf), code: countersign.ClientCertCrlProcessingError},
		{name: "scope chain, all there", lists: [][]byte{mid.CRL(), root.CRL()}, cfg: revocation.Config{Scope: revocation.ScopeChain, Missing: revocation.Refuse}, path: path(leaf)},
		{name: "an anchor alone", cfg: revocation.Config{Missing: revocation.Refuse}, path: path(root)},

		{name: "users only", lists: [][]byte{mid.CRL(scopeOf("\x81\x01\xff"))}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(leaf)},
		{name: "CAs only", lists: [][]byte{mid.CRL(scopeOf("\x82\x01\xff"))}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(leaf), code: countersign.ClientCertCrlProcessingError},
		{name: "its partition", lists: [][]byte{mid.CRL(partition("http://a/"))}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(inA)},
		{name: "another partition", lists: [][]byte{mid.CRL(partition("http://b/"))}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(inA), code: countersign.ClientCertCrlProcessingError},
		{name: "a partition, certificate without one", lists: [][]byte{mid.CRL(partition("http://a/"))}, cfg: revocation.Config{Missing: revocation.Refuse}, path: path(leaf), code: countersign.ClientCertCrlProcessingError},
		{name: "listed in another partition", lists: [][]byte{mid.CRL(partition("http://b/"), testpki.Revoke(leaf))}, path: path(leaf), code: countersign.ClientCertCrlHit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Lists = parse(t, tt.lists...)
			c, _, err := revocation.New(tt.cfg, []*x509.Certificate{root.X509, twin.X509}, now)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time signatures are remembered
				said, last := "nothing", true
				_, d := c.Check(tt.path, now, func(ok bool, detail string) { said, last = detail, ok })
				switch {
				case tt.code == "" && d != nil:
					t.Fatalf("refused: %v", d)
				case tt.code != "" && (d == nil || d.Code != tt.code || !strings.Contains(d.Reason, tt.words)):
					t.Fatalf("got %v; want %s saying %q", d, tt.code, tt.words)
				}
				if last != (d == nil) || d != nil && said != d.Reason || said == "" || len(tt.path) > 1 && said == "nothing" {
					t.Errorf("the trace was told %v %q last", last, said)
				}
			}
		})
	}
}

func damaged(der []byte) []byte {
	der[len(der)-1] ^= 1
	return der
}

// withoutKeyID makes a list that does not say which of two keys signed it.
func withoutKeyID(t *testing.T, c *testpki.Certificate) []byte {
	t.Helper()
	der := c.CRL()
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	return c.Resign(der, func(tbs []byte) []byte {
		for _, e := range list.Extensions {
			if e.Id.String() == "2.5.29.35" {
				// An AuthorityKeyIdentifier of the same length whose keyIdentifier is an issuer's serial number.
				value := append([]byte(nil), e.Value...)
				value[2] = 0x82
				return []byte(strings.Replace(string(tbs), string(e.Value), string(value), 1))
			}
		}
		t.Fatal("no key identifier")
		return nil
	})
}

func TestNewPlacesLists(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mute := testpki.NewRoot(t, "Mute", testpki.KeyUsage(x509.KeyUsageCertSign))
	mid := root.Intermediate("Issuing")
	anchors := []*x509.Certificate{root.X509, mute.X509}
	for name, tt := range map[string]struct {
		der           []byte
		err, warnings string
	}{
		"of an anchor":         {der: root.CRL()},
		"of an intermediate":   {der: mid.CRL(), warnings: "is of no CA in the trust store"},
		"of a twin":            {der: testpki.NewRoot(t, "Root").CRL(), warnings: "is of no CA in the trust store"},
		"of an unnamed twin":   {der: withoutKeyID(t, testpki.NewRoot(t, "Root")), err: "is not signed by the key of"},
		"damaged":              {der: damaged(root.CRL()), err: "is not signed by the key of"},
		"anchor without right": {der: mute.CRL(), err: "cRLSign"},
		"dated in the future":  {der: root.CRL(testpki.CRLValid(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))), warnings: "in the future"},
		"should be replaced":   {der: root.CRL(testpki.CRLValid(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))), warnings: "clients of this issuer are refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := revocation.New(revocation.Config{Lists: parse(t, tt.der)}, anchors, time.Now())
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v; want %q", err, tt.err)
			}
			if got := strings.Join(warnings, "\n"); (got != "") != (tt.warnings != "") || !strings.Contains(got, tt.warnings) {
				t.Errorf("warnings %q; want %q", got, tt.warnings)
			}
		})
	}
}

func TestRegressed(t *testing.T) {
	root, twin := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Root")
	one, two, three := root.CRL(testpki.CRLNumber(1)), root.CRL(testpki.CRLNumber(2)), root.CRL(testpki.CRLNumber(3))
	for name, tt := range map[string]struct {
		before, after [][]byte
		want          int
	}{
		"newer":               {[][]byte{one}, [][]byte{two}, 0},
		"the same":            {[][]byte{two}, [][]byte{two}, 0},
		"older":               {[][]byte{two}, [][]byte{one}, 1},
		"old one beside":      {[][]byte{two}, [][]byte{one, three}, 0},
		"newest gone":         {[][]byte{one, three}, [][]byte{one, two}, 1},
		"removed":             {[][]byte{two}, nil, 0},
		"another CA's number": {[][]byte{two}, [][]byte{twin.CRL(testpki.CRLNumber(1))}, 0},
		"another partition":   {[][]byte{two}, [][]byte{root.CRL(testpki.CRLNumber(1), partition("http://a/"))}, 0},
	} {
		if got := revocation.Regressed(parse(t, tt.before...), parse(t, tt.after...)); len(got) != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The common case of live traffic, a leaf that is on no list, does not allocate.
func TestCheckAllocations(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	leaf := root.Client("device")
	c, _, err := revocation.New(revocation.Config{Lists: parse(t, root.CRL(testpki.Revoke(root)))}, []*x509.Certificate{root.X509}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, now := path(leaf), time.Now()
	if n := testing.AllocsPerRun(100, func() {
		if _, d := c.Check(p, now, nil); d != nil {
			t.Fatal(d)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
