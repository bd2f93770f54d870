package verify

import (
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"countersign.dev/internal/testpki"
)

func numbered(i int) (k chainKey) {
	binary.BigEndian.PutUint32(k[:], uint32(i)*2654435761)
	return k
}

func TestMemoryIsBounded(t *testing.T) {
	root := testpki.NewRoot(t, "Root").X509
	for _, size := range []int{1, 10, 100, 5000} {
		m := newMemory(size)
		for i := range 10 * size {
			m.put(numbered(i), []issuers{{root}})
		}
		if n := m.len(); n > size+1 || n < size/4 {
			t.Errorf("size %d: %d remembered", size, n)
		}
	}
	if m := newMemory(-1); m.get(numbered(1)) != nil || m.len() != 0 {
		t.Error("a memory of nothing remembers")
	}
}

// What is asked for again and again stays, whatever else comes by.
func TestMemoryKeepsWhatIsUsed(t *testing.T) {
	root := testpki.NewRoot(t, "Root").X509
	m := newMemory(100)
	m.put(numbered(0), []issuers{{root}})
	for i := 1; i < 10000; i++ {
		m.put(numbered(i), []issuers{{root}})
		if m.get(numbered(0)) == nil {
			t.Fatalf("forgotten after %d others", i)
		}
	}
}

func TestMemorySharesCAs(t *testing.T) {
	root := testpki.NewRoot(t, "Root").X509
	again, err := x509.ParseCertificate(root.Raw)
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory(100)
	m.put(numbered(1), []issuers{{root}})
	m.put(numbered(2), []issuers{{again}})
	if m.get(numbered(2))[0][0] != root {
		t.Error("the same CA certificate is kept twice")
	}
}

// The key must tell apart chains of the same certificates in another order or number.
func TestKeyOf(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	a, b := root.Client("a").X509, root.Client("b").X509
	seen := map[chainKey]bool{}
	for _, chain := range [][]*x509.Certificate{{a}, {b}, {a, b}, {b, a}, {a, a}, {a, b, a}} {
		k := keyOf(chain)
		if seen[k] || k == (chainKey{}) {
			t.Errorf("key of %d certificates is not its own", len(chain))
		}
		seen[k] = true
	}
}

func TestVerifyConcurrently(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	s, err := New(Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}, Remember: 8})
	if err != nil {
		t.Fatal(err)
	}
	var chains [][]*x509.Certificate
	for i := range 20 {
		chains = append(chains, mid.Client(fmt.Sprintf("device %d", i)).Chain())
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				presented := chains[(g+i)%len(chains)]
				c, denial := s.Verify(presented, Options{})
				if denial != nil || c.Leaf() != presented[0] || len(c.Path()) != 3 {
					t.Errorf("%v", denial)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A remembered chain costs one allocation, the proof.
func TestRememberedChainAllocations(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	presented := root.Intermediate("Issuing").Client("device", testpki.OU("x")).Chain()
	s, err := New(Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}, Accept: []Filter{{SubjectCN: []string{"dev*"}}}})
	if err != nil {
		t.Fatal(err)
	}
	verify := func() {
		if c, denial := s.Verify(presented, Options{}); denial != nil || !c.Verified() {
			t.Fatal(denial)
		}
	}
	verify()
	if s.Remembered() != 1 {
		t.Fatalf("%d remembered", s.Remembered())
	}
	if n := testing.AllocsPerRun(100, verify); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

// What was refused is not remembered: nobody without a good certificate can fill the memory.
func TestRefusedChainsAreNotRemembered(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	s, err := New(Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*testpki.Certificate{root.Client("d", testpki.Expired()), testpki.NewSelfSigned(t, "x"), root.Server("localhost")} {
		if _, denial := s.Verify(bad.Chain(), Options{}); denial == nil {
			t.Fatal("accepted")
		}
	}
	if s.Remembered() != 0 {
		t.Errorf("%d remembered", s.Remembered())
	}
}

func BenchmarkVerify(b *testing.B) {
	root := testpki.NewRoot(b, "Root")
	presented := root.Intermediate("Issuing").Client("device").Chain()
	for name, remember := range map[string]int{"remembered": 0, "full": -1} {
		s, err := New(Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}, Remember: remember})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, denial := s.Verify(presented, Options{}); denial != nil {
					b.Fatal(denial)
				}
			}
		})
	}
}
