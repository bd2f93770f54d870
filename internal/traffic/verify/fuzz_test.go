package verify_test

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// A mutable is a trust store with a chain that is to be changed.
type mutable struct {
	store           *verify.Store
	pool            *x509.CertPool
	root, mid, leaf *testpki.Certificate
}

func newMutable(t testing.TB) *mutable {
	m := &mutable{root: testpki.NewRoot(t, "Root")}
	m.mid = m.root.Intermediate("Issuing", testpki.ExcludedDNS("evil.example"), testpki.MaxPathLen(0))
	m.leaf = m.mid.Client("device.fleet.example", testpki.DNS("a.fleet.example"), testpki.Email("a@b.example"))
	m.store, m.pool = store(t, verify.Config{Remember: 64}, m.root), m.root.Pool()
	return m
}

// check verifies a chain. Whatever it is: nothing panics, nothing passes that
// crypto/x509 refuses, a refusal has words, and what passes is for the leaf and
// ends in the trust store.
func (m *mutable) check(t *testing.T, presented []*x509.Certificate) (passed bool) {
	t.Helper()
	now := time.Now()
	chain, denial := m.store.Verify(presented, verify.Options{Now: now})
	again, denialAgain := m.store.Verify(presented, verify.Options{Now: now}) // remembered, if it passed
	if (denial == nil) != (denialAgain == nil) || chain.IsZero() != again.IsZero() {
		t.Fatalf("first %v, then %v", denial, denialAgain)
	}
	if denial != nil {
		if denial.Code == "" || denial.Reason == "" || !chain.IsZero() {
			t.Fatalf("a refusal without words, or with a chain: %+v", denial)
		}
		return false
	}
	if path := chain.Path(); path[0] != presented[0] || path[len(path)-1] != m.root.X509 {
		t.Fatalf("the path is %v", path)
	}
	intermediates := x509.NewCertPool()
	for _, c := range presented[1:] {
		intermediates.AddCert(c)
	}
	if _, err := presented[0].Verify(x509.VerifyOptions{
		Roots: m.pool, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		t.Fatalf("passed, but crypto/x509 says: %v", err)
	}
	return true
}

// flipped is c with one byte changed and signed again; nil if it does not parse.
func flipped(t *testing.T, c, issuer *testpki.Certificate, at int, mask byte) *x509.Certificate {
	der := issuer.In(t).Resign(c.X509.Raw, func(tbs []byte) []byte {
		tbs = slices.Clone(tbs)
		tbs[at%len(tbs)] ^= mask
		return tbs
	})
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return parsed
}

// Each bit of a leaf and of its issuer, flipped and signed again, so that not
// the signature hides what comes after it.
func TestAnyFlippedBitIsRefusedOrHarmless(t *testing.T) {
	m := newMutable(t)
	parsed, passed := 0, 0
	for at := range len(m.leaf.X509.RawTBSCertificate) {
		for bit := range 8 {
			if c := flipped(t, m.leaf, m.mid, at, 1<<bit); c != nil {
				parsed++
				if m.check(t, []*x509.Certificate{c, m.mid.X509}) {
					passed++
				}
			}
		}
	}
	for at := range len(m.mid.X509.RawTBSCertificate) {
		for bit := range 8 {
			if c := flipped(t, m.mid, m.root, at, 1<<bit); c != nil {
				parsed++
				if m.check(t, []*x509.Certificate{m.leaf.X509, c}) {
					passed++
				}
			}
		}
	}
	if parsed < 1000 || passed == 0 || passed == parsed {
		t.Errorf("of %d certificates that parse %d pass: the test does not test", parsed, passed)
	}
}

func FuzzVerify(f *testing.F) {
	m := newMutable(f)
	f.Add(m.leaf.X509.Raw, m.mid.X509.Raw)
	f.Add(m.leaf.X509.Raw, m.root.Intermediate("Issuing", testpki.WithKey(m.mid.Key)).X509.Raw)
	f.Add(m.root.Server("x").X509.Raw, m.root.X509.Raw)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var presented []*x509.Certificate
		for _, der := range [][]byte{first, second} {
			if c, err := x509.ParseCertificate(der); err == nil {
				presented = append(presented, c)
			}
		}
		m.check(t, presented)
	})
}
