package vouch_test

import (
	"crypto/x509"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/vouch"
)

func find(anchor *testpki.Certificate, presented ...*x509.Certificate) vouch.Set {
	return vouch.NewAnchors([]*x509.Certificate{anchor.X509}).Find(presented, nil)
}

func TestFindTakesWhatAnAnchorVouchesFor(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Mid")
	low := mid.Intermediate("Low")
	leaf := low.Client("d")
	other := testpki.NewRoot(t, "Other")
	twin := testpki.NewRoot(t, "Root")
	for name, tt := range map[string]struct {
		presented []*x509.Certificate
		want      []*x509.Certificate
		checks    int
	}{
		"in any order":                          {[]*x509.Certificate{leaf.X509, low.X509, mid.X509}, []*x509.Certificate{low.X509, mid.X509}, 2},
		"nothing but the leaf":                  {[]*x509.Certificate{leaf.X509}, nil, 0},
		"the anchor itself, and twice":          {[]*x509.Certificate{leaf.X509, root.X509, mid.X509, mid.X509}, []*x509.Certificate{mid.X509}, 1},
		"of another CA":                         {[]*x509.Certificate{leaf.X509, other.X509, other.Intermediate("Mid").X509}, nil, 0},
		"below a namesake of the anchor":        {[]*x509.Certificate{leaf.X509, twin.X509, twin.Intermediate("Mid").X509}, nil, 2},
		"of no CA":                              {[]*x509.Certificate{leaf.X509, root.Client("x").X509}, nil, 0},
		"of a CA that may sign no certificates": {[]*x509.Certificate{leaf.X509, root.Intermediate("x", testpki.KeyUsage(x509.KeyUsageCRLSign)).X509}, nil, 0},
	} {
		got := find(root, tt.presented...)
		same := len(got.Certificates) == len(tt.want)
		for i := range tt.want {
			same = same && got.Certificates[i] == tt.want[i]
		}
		if !same || got.Checks != tt.checks || got.Exhausted {
			t.Errorf("%s: %d certificates with %d checks; want %d with %d", name, len(got.Certificates), got.Checks, len(tt.want), tt.checks)
		}
	}
}

func TestWhatWasVouchedForIsNotCheckedAgain(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Mid")
	low := mid.Intermediate("Low")
	got := vouch.NewAnchors([]*x509.Certificate{root.X509}).Find(
		[]*x509.Certificate{low.Client("d").X509, mid.X509, low.X509}, func(c *x509.Certificate) bool { return c == mid.X509 })
	if len(got.Certificates) != 2 || got.Checks != 1 {
		t.Errorf("%d certificates with %d checks; want 2 with 1", len(got.Certificates), got.Checks)
	}
}

// CVE-2026-32280: intermediates that anybody can make, of one name, each with a
// key that is slow to use. None of their keys is used.
func TestAStrangersKeysAreNotUsed(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	stranger := testpki.NewRoot(t, "X")
	presented := []*x509.Certificate{stranger.Client("d").X509}
	for range 9 {
		presented = append(presented, stranger.Intermediate("X", testpki.PublicKey(testpki.HugeRSA(t, 8192))).X509)
	}
	if got := find(root, presented...); len(got.Certificates) != 0 || got.Checks != 0 {
		t.Errorf("%d signatures were checked for a stranger", got.Checks)
	}
	// With the anchor's name the anchor's key is asked about each, once.
	namesake := testpki.NewRoot(t, "Root")
	presented = presented[:1]
	for range 9 {
		presented = append(presented, namesake.Intermediate("Root").X509)
	}
	if got := find(root, presented...); len(got.Certificates) != 0 || got.Checks != 9 {
		t.Errorf("%d signatures were checked with the anchor's key; want 9", got.Checks)
	}
}

// A trust store of many CAs of one name, and a chain that names each of them.
func TestChecksAreBounded(t *testing.T) {
	var anchors []*x509.Certificate
	for range 20 {
		anchors = append(anchors, testpki.NewRoot(t, "Root").X509)
	}
	stranger := testpki.NewRoot(t, "Root")
	presented := []*x509.Certificate{stranger.Client("d").X509}
	for range 9 {
		presented = append(presented, stranger.Intermediate("Root").X509)
	}
	if got := vouch.NewAnchors(anchors).Find(presented, nil); got.Checks != vouch.MaxChecks || !got.Exhausted {
		t.Errorf("%d checks, exhausted %v; want %d, true", got.Checks, got.Exhausted, vouch.MaxChecks)
	}
}
