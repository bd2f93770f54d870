package verify_test

import (
	"crypto/x509"
	"math/rand/v2"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// Whatever CAs are in the store, and whatever a client presents in whatever
// order: a chain passes if crypto/x509 finds a path for it, and only then. What
// is looked for from the anchors downwards leaves out nothing that counts.
func TestPathsAreFoundWhereverCryptoX509FindsThem(t *testing.T) {
	r1, r2, twin := testpki.NewRoot(t, "Root 1"), testpki.NewRoot(t, "Root 2"), testpki.NewRoot(t, "Root 1")
	a1 := r1.Intermediate("A")
	crossed := r2.Intermediate("A", testpki.WithKey(a1.Key))
	namesake := r1.Intermediate("A")
	b1, b2 := a1.Intermediate("B"), namesake.Intermediate("B")
	c := b1.Intermediate("C")
	rollover := a1.Intermediate("A", testpki.WithKey(testpki.NewRoot(t, "A").Key)) // self-issued
	d := rollover.Intermediate("D")
	short := r2.Intermediate("Short", testpki.MaxPathLen(0))
	foreign := twin.Intermediate("A")
	noCA := a1.Client("B")
	roots := []*testpki.Certificate{r1, r2, twin, a1, b1}
	cas := []*testpki.Certificate{r1, r2, twin, a1, crossed, namesake, b1, b2, c, rollover, d, short, short.Intermediate("E"), foreign, noCA}
	var leaves []*testpki.Certificate
	for _, ca := range cas {
		leaves = append(leaves, ca.Client("device"))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	passed := 0
	const rounds = 600
	for range rounds {
		anchors := pick(rng, roots, 1+rng.IntN(2))
		presented := []*x509.Certificate{leaves[rng.IntN(len(leaves))].X509}
		for _, ca := range pick(rng, cas, rng.IntN(7)) {
			presented = append(presented, ca.X509)
		}
		tried := comparison{anchors: anchors}
		for _, p := range presented {
			tried.chain = append(tried.chain, p.Raw)
		}
		theirs := byX509(tried)
		s := store(t, verify.Config{}, anchors...)
		_, denial := s.Verify(presented, verify.Options{MaxChainDepth: 10})
		if (theirs == nil) != (denial == nil) {
			names := ""
			for _, p := range presented {
				names += p.Subject.CommonName + " by " + p.Issuer.CommonName + "; "
			}
			t.Fatalf("crypto/x509 says %v, we say %v, of %s", theirs, denial, names)
		}
		if denial == nil {
			passed++
		} else {
			instructive(t, append(presented, anchors[0].X509), denial)
		}
	}
	if passed < rounds/10 || passed > rounds*9/10 {
		t.Errorf("%d of %d chains pass: the test does not test", passed, rounds)
	}
}

// pick takes n of all, or all, in a random order.
func pick[T any](rng *rand.Rand, all []T, n int) []T {
	var some []T
	for _, i := range rng.Perm(len(all))[:min(n, len(all))] {
		some = append(some, all[i])
	}
	return some
}
