package revocation_test

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// delta makes the list a delta list with a number, that changes the one with number base.
func delta(number, base int64) testpki.CRLOption {
	return func(l *x509.RevocationList) {
		testpki.CRLNumber(number)(l)
		testpki.CRLExtension(true, []byte{2, 1, byte(base)}, 2, 5, 29, 27)(l)
	}
}

// Delta lists apply to the complete list that they fit (RFC 5280 section 5.2.4).
func TestDeltaLists(t *testing.T) {
	now := time.Now()
	hours := func(this, next int) testpki.CRLOption {
		return testpki.CRLValid(now.Add(time.Duration(this)*time.Hour), now.Add(time.Duration(next)*time.Hour))
	}
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	leaf := root.Client("device", testpki.Serial("1234"))
	below := mid.Client("device", testpki.Serial("1234"))
	serial := leaf.X509.SerialNumber
	hold, remove, worse := testpki.RevokeSerial(serial, 6), testpki.RevokeSerial(serial, 8), testpki.RevokeSerial(serial, 1)
	number := testpki.CRLNumber
	list := root.CRL

	for _, tt := range []struct {
		name  string
		cfg   revocation.Config
		lists [][]byte
		path  []*x509.Certificate // nil: of leaf
		code  countersign.Code
		words []string
	}{
		{name: "says nothing of it", lists: [][]byte{list(number(5)), list(delta(6, 5))}},
		{name: "revokes", lists: [][]byte{list(number(5)), list(delta(6, 5), worse)}, code: countersign.ClientCertCrlHit,
			words: []string{"serial 1234", "keyCompromise", "delta list number 6", "issue it a new certificate"}},
		{name: "leaves on", lists: [][]byte{list(number(5), hold), list(delta(6, 5))}, code: countersign.ClientCertCrlHit, words: []string{"certificateHold", "list number 5", "off hold"}},
		{name: "takes off", lists: [][]byte{list(number(5), hold), list(delta(6, 5), remove)}},
		{name: "takes off, order of files does not matter", lists: [][]byte{list(delta(6, 5), remove), list(number(5), hold)}},
		{name: "takes off, listed twice there", lists: [][]byte{list(number(5), hold), list(delta(6, 5), remove, worse)}, code: countersign.ClientCertCrlHit},
		{name: "takes off and puts on again", lists: [][]byte{list(number(5), hold), list(delta(6, 5), remove), list(delta(7, 5), worse)}, code: countersign.ClientCertCrlHit},
		{name: "puts on and takes off again", lists: [][]byte{list(number(5)), list(delta(6, 5), hold), list(delta(7, 5), remove)}},
		{name: "changes what another made", lists: [][]byte{list(number(5), hold), list(delta(6, 5)), list(delta(7, 6), remove)}},
		{name: "fits a newer list than its base", lists: [][]byte{list(number(5), hold), list(delta(7, 3), remove)}},
		{name: "older than the list: it counts for nothing", lists: [][]byte{list(number(7), hold), list(delta(6, 5), remove)}, code: countersign.ClientCertCrlHit},
		{name: "older than the list, and revokes: the list knows better", lists: [][]byte{list(number(7)), list(delta(6, 5), hold)}},
		{name: "an old complete list beside", lists: [][]byte{list(number(2), hold), list(number(5)), list(delta(6, 5), remove)}, code: countersign.ClientCertCrlHit},

		{name: "the delta's dates count: stale", lists: [][]byte{list(number(5)), list(delta(6, 5), hours(-9, -1))}, code: countersign.ClientCertCrlProcessingError, words: []string{"delta list number 6", "should have been replaced"}},
		{name: "the delta's dates count: in date", lists: [][]byte{list(number(5), hours(-48, -24)), list(delta(6, 5))}, cfg: revocation.Config{Missing: revocation.Refuse}},

		{name: "of an intermediate", lists: [][]byte{mid.CRL(number(5), hold), mid.CRL(delta(6, 5), remove)}, path: path(below)},
		{name: "of an intermediate, damaged: takes nobody off", lists: [][]byte{mid.CRL(number(5), hold), damaged(mid.CRL(delta(6, 5), remove))}, path: path(below), code: countersign.ClientCertCrlHit},
		{name: "of an intermediate, damaged: lets nobody in", lists: [][]byte{mid.CRL(number(5)), damaged(mid.CRL(delta(6, 5)))}, path: path(below), code: countersign.ClientCertCrlProcessingError, words: []string{"delta list number 6", "is not signed by the issuer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Lists = parse(t, tt.lists...)
			c, _, err := revocation.New(tt.cfg, []*x509.Certificate{root.X509}, now)
			if err != nil {
				t.Fatal(err)
			}
			if tt.path == nil {
				tt.path = path(leaf)
			}
			_, d := c.Check(tt.path, now, nil)
			if tt.code == "" && d != nil || tt.code != "" && (d == nil || d.Code != tt.code) {
				t.Fatalf("got %v; want %q", d, tt.code)
			}
			for _, w := range tt.words {
				if !strings.Contains(d.Reason, w) {
					t.Errorf("%s: want it to say %q", d.Reason, w)
				}
			}
		})
	}
}

// A delta list without the list that it changes is a fault, which says what is
// missing; one that a newer list contains is a warning.
func TestDeltaListsThatDoNotFit(t *testing.T) {
	root, twin := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Root")
	for name, tt := range map[string]struct {
		lists        [][]byte
		err, warning string
	}{
		"alone":                      {lists: [][]byte{root.CRL(delta(6, 5))}, err: `delta list number 6 of "CN=Root" (test.crl) of 2`},
		"to an older list":           {lists: [][]byte{root.CRL(testpki.CRLNumber(4)), root.CRL(delta(6, 5))}, err: "publish complete list number 5 or a newer one"},
		"to another scope":           {lists: [][]byte{root.CRL(testpki.CRLNumber(5), partition("http://a/")), root.CRL(delta(6, 5))}, err: "same issuer, key and scope (all certificates), which is not here"},
		"to another key's list":      {lists: [][]byte{root.CRL(testpki.CRLNumber(5)), twin.CRL(delta(6, 5))}, err: "which is not here"},
		"to a list of its scope":     {lists: [][]byte{root.CRL(testpki.CRLNumber(5), partition("http://a/")), root.CRL(delta(6, 5), partition("http://a/"))}},
		"after the next one is here": {lists: [][]byte{root.CRL(testpki.CRLNumber(6)), root.CRL(delta(6, 5))}, warning: "it counts for nothing"},
		"damaged":                    {lists: [][]byte{root.CRL(testpki.CRLNumber(5)), damaged(root.CRL(delta(6, 5)))}, err: "is not signed by the key of"},
	} {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := revocation.New(revocation.Config{Lists: parse(t, tt.lists...)}, []*x509.Certificate{root.X509, twin.X509}, time.Now())
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v; want %q", err, tt.err)
			}
			if got := strings.Join(warnings, "\n"); (got != "") != (tt.warning != "") || !strings.Contains(got, tt.warning) {
				t.Errorf("warnings %q; want %q", got, tt.warning)
			}
		})
	}
}

// Without a delta list that was in force certificates revoked by it would pass.
func TestADeltaListCountsForTheOrderOfLists(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	five, six, seven := root.CRL(testpki.CRLNumber(5)), root.CRL(delta(6, 5)), root.CRL(testpki.CRLNumber(7))
	for name, tt := range map[string]struct {
		before, after [][]byte
		want          int
	}{
		"delta added":             {[][]byte{five}, [][]byte{five, six}, 0},
		"delta taken out":         {[][]byte{five, six}, [][]byte{five}, 1},
		"newer list, no delta":    {[][]byte{five, six}, [][]byte{seven}, 0},
		"newer list, old delta":   {[][]byte{five, six}, [][]byte{seven, six}, 0},
		"back to the older state": {[][]byte{seven}, [][]byte{five, six}, 1},
	} {
		if got := revocation.Regressed(parse(t, tt.before...), parse(t, tt.after...)); len(got) != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWithdrawn(t *testing.T) {
	root, other := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Other")
	all, a, b := root.CRL(), root.CRL(partition("http://a/")), root.CRL(partition("http://b/"))
	for name, tt := range map[string]struct {
		before, after [][]byte
		want          int
	}{
		"stays":                       {[][]byte{all}, [][]byte{all}, 0},
		"gone":                        {[][]byte{all, other.CRL()}, [][]byte{other.CRL()}, 1},
		"two of one place gone":       {[][]byte{all, root.CRL(testpki.CRLNumber(2))}, nil, 1},
		"a partition gone":            {[][]byte{a, b}, [][]byte{a}, 1},
		"partitions made one list":    {[][]byte{a, b}, [][]byte{all}, 0},
		"one list made one partition": {[][]byte{all}, [][]byte{a}, 1},
		"a delta gone":                {[][]byte{all, root.CRL(delta(6, 1))}, [][]byte{all}, 0},
	} {
		if got := revocation.Withdrawn(parse(t, tt.before...), parse(t, tt.after...)); len(got) != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A list of the future takes no other's place. A clock may be a little ahead.
func TestPremature(t *testing.T) {
	now := time.Now()
	root := testpki.NewRoot(t, "Root")
	at := func(d time.Duration) []byte { return root.CRL(testpki.CRLValid(now.Add(d), now.Add(48*time.Hour))) }
	later, soon := parse(t, at(time.Hour)), parse(t, at(time.Minute))
	for name, tt := range map[string]struct {
		before, after []*crl.List
		want          int
	}{
		"later":        {nil, later, 1},
		"soon":         {nil, soon, 0},
		"was in force": {later, later, 0},
	} {
		if got := revocation.Premature(tt.before, tt.after, now); len(got) != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	c, warnings, err := revocation.New(revocation.Config{Lists: soon}, []*x509.Certificate{root.X509}, now)
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	if _, d := c.Check(path(root.Client("device")), now, nil); d != nil {
		t.Error(d)
	}
}

// Who is refused because no list speaks for him is told which lists there are.
func TestARefusalSaysWhichPartitionIsMissing(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	var lists [][]byte
	for _, uri := range []string{"http://a/", "http://b/", "http://c/", "http://d/"} {
		lists = append(lists, root.CRL(partition(uri), testpki.RevokeSerial(big.NewInt(int64(len(lists))), 0)))
	}
	c, _, err := revocation.New(revocation.Config{Lists: parse(t, lists...), Missing: revocation.Refuse}, []*x509.Certificate{root.X509}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf := root.Client("device", testpki.Template(func(tpl *x509.Certificate) { tpl.CRLDistributionPoints = []string{"http://e/"} }))
	_, d := c.Check(path(leaf), time.Now(), nil)
	if d == nil || d.Code != countersign.ClientCertCrlProcessingError {
		t.Fatal(d)
	}
	for _, want := range []string{`its distribution points are ["http://e/"]`, `is for distribution point "http://a/"`, "1 more"} {
		if !strings.Contains(d.Reason, want) {
			t.Errorf("%s: want it to say %q", d.Reason, want)
		}
	}
}

// A distribution point that promises some reasons only, or leads to another
// issuer's list, is not one by which a partition speaks for a certificate.
func TestADistributionPointForSomeReasonsDoesNotCount(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	c, _, err := revocation.New(revocation.Config{Lists: parse(t, root.CRL(partition("http://a/"))), Missing: revocation.Refuse}, []*x509.Certificate{root.X509}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	name := "\xa0\x0d\xa0\x0b\x86\x09http://a/"
	for _, tt := range []struct {
		name, point string
		ok          bool
	}{
		{"all reasons", name, true},
		{"some reasons", name + "\x81\x02\x06\x40", false},
		{"another's list", name + "\xa2\x04\xa4\x02\x30\x00", false},
		{"no name", "\xa2\x04\xa4\x02\x30\x00", false},
	} {
		point := "\x30" + string(rune(len(tt.point))) + tt.point
		leaf := root.Client("device", testpki.Extension(false, []byte("\x30"+string(rune(len(point)))+point), 2, 5, 29, 31))
		if _, d := c.Check(path(leaf), time.Now(), nil); (d == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, d)
		}
	}
}
