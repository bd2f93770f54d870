package seen

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// A rig is a Memory with a trust store whose clients it remembers, and a clock.
type rig struct {
	*Memory
	tb    testing.TB
	dir   string
	root  *testpki.Certificate
	store *verify.Store
	clock time.Time
}

func newRig(tb testing.TB, most int) *rig {
	r := &rig{tb: tb, dir: tb.TempDir(), root: testpki.NewRoot(tb, "Fleet CA"), clock: time.Now().Truncate(time.Second)}
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{r.root.X509}})
	if err != nil {
		tb.Fatal(err)
	}
	r.store = store
	r.open(most)
	tb.Cleanup(func() { r.Close() })
	return r
}

func (r *rig) open(most int) {
	r.tb.Helper()
	m, err := Open(Config{Dir: r.dir, Most: most, Now: func() time.Time { return r.clock }})
	if err != nil {
		r.tb.Fatal(err)
	}
	r.Memory = m
}

// again closes the memory, which writes everything out, and opens it anew.
func (r *rig) again(most int) {
	r.tb.Helper()
	if err := r.Close(); err != nil {
		r.tb.Fatal(err)
	}
	r.open(most)
}

func (r *rig) came(c *testpki.Certificate) {
	r.tb.Helper()
	chain, denial := r.store.Verify(c.Chain(), verify.Options{})
	if denial != nil {
		r.tb.Fatal(denial)
	}
	r.Came("devices", "default", chain, sha256.Sum256(c.X509.Raw))
}

func (r *rig) all() (all []Client) {
	r.tb.Helper()
	if err := r.Each(func(c Client) error { all = append(all, c); return nil }); err != nil {
		r.tb.Fatal(err)
	}
	return all
}

func (r *rig) names() (names []string) {
	for _, c := range r.all() {
		names = append(names, c.Presented[0].Subject.CommonName)
	}
	return names
}

func TestARestartRemembersWhoWasThere(t *testing.T) {
	r := newRig(t, 0)
	issuing := r.root.Intermediate("Issuing CA")
	one, two := issuing.Client("one"), r.root.Client("two")
	first := r.clock
	r.came(one)
	r.clock = r.clock.Add(time.Minute)
	r.came(two)
	r.again(0)
	r.clock = r.clock.Add(time.Minute)
	r.Left(sha256.Sum256(one.X509.Raw))
	r.again(0)
	all := r.all()
	if len(all) != 2 {
		t.Fatalf("%d clients are remembered, want 2", len(all))
	}
	got := all[0] // was seen last
	if got.Listener != "devices" || got.Policy != "default" || got.Store != "fleet" || string(got.Anchor) != string(r.root.X509.Raw) {
		t.Errorf("the client was under listener %q, policy %q, trust store %q", got.Listener, got.Policy, got.Store)
	}
	if !got.First.Equal(first) || !got.Last.Equal(r.clock) {
		t.Errorf("seen from %v to %v, want %v to %v", got.First, got.Last, first, r.clock)
	}
	if len(got.Presented) != 2 || !got.Presented[0].Equal(one.X509) || !got.Presented[1].Equal(issuing.X509) {
		t.Errorf("what was presented is not what is remembered: %d certificates", len(got.Presented))
	}
	if _, denial := r.store.Verify(got.Presented, verify.Options{}); denial != nil {
		t.Errorf("who was accepted is refused from memory: %v", denial)
	}
}

func TestWhoIsNotSeenForTheLongestIsForgotten(t *testing.T) {
	r := newRig(t, 16)
	var certs []*testpki.Certificate
	for i := range 17 {
		certs = append(certs, r.root.Client(fmt.Sprint(i)))
	}
	for _, c := range certs[:16] {
		r.came(c)
		r.clock = r.clock.Add(time.Second)
	}
	r.again(16)
	r.came(certs[0]) // the oldest comes again
	r.came(certs[16])
	r.Close()
	for i, want := range map[int]bool{0: true, 1: false, 15: true, 16: true} {
		sum := sha256.Sum256(certs[i].X509.Raw)
		if _, known := r.index[print(sum[:16])]; known != want {
			t.Errorf("client %d is remembered: %v, want %v", i, known, want)
		}
	}
	r.open(16)
	// Who was forgotten is still in the file, and has a second record when it comes again.
	r.came(certs[1])
	r.again(16)
	if names := r.names(); !slices.Contains(names, "1") || len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Errorf("remembered are %v, want 1 again, and everybody once", names)
	}
}

func TestAnotherPathIsAnotherPlace(t *testing.T) {
	r := newRig(t, 0)
	c := r.root.Client("one")
	r.came(c)
	r.again(0)
	other, err := verify.New(verify.Config{Name: "later", Anchors: []*x509.Certificate{r.root.X509, testpki.NewRoot(t, "New CA").X509}})
	if err != nil {
		t.Fatal(err)
	}
	r.store = other
	r.came(c)
	r.again(0)
	if all := r.all(); len(all) != 1 || all[0].Store != "later" {
		t.Errorf("%d certificates are remembered, the first under %q; want one, under the store that admitted it last", len(all), all[0].Store)
	}
}

func TestACompactedFileSaysTheSame(t *testing.T) {
	r := newRig(t, 0)
	for i := range 40 {
		r.came(r.root.Intermediate(fmt.Sprint("CA ", i%3)).Client(fmt.Sprint(i)))
		r.clock = r.clock.Add(time.Second)
	}
	r.again(30) // forgets some with the next
	r.came(r.root.Client("last"))
	r.again(30)
	before := r.names()
	r.Close() // ends the goroutine that owns the file
	m, err := Open(Config{Dir: r.dir, Most: 30})
	if err != nil {
		t.Fatal(err)
	}
	size := m.file.end
	m.reading.Lock()
	if err := m.rewrite(); err != nil {
		t.Fatal(err)
	}
	m.reading.Unlock()
	if m.file.end > size {
		t.Errorf("the compacted file has %d octets, the one before %d", m.file.end, size)
	}
	r.Memory = m
	if after := r.names(); !slices.Equal(before, after) {
		t.Errorf("compacted:\n%v\nbefore:\n%v", after, before)
	}
	r.again(30)
	if after := r.names(); !slices.Equal(before, after) {
		t.Errorf("compacted and read again:\n%v\nbefore:\n%v", after, before)
	}
}

func TestADamagedEndIsCutOff(t *testing.T) {
	r := newRig(t, 0)
	for _, name := range []string{"one", "two", "three"} {
		r.came(r.root.Client(name))
		r.clock = r.clock.Add(time.Second)
	}
	r.Close()
	path := filepath.Join(r.dir, "clients")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)-10] },
		"flipped": func(b []byte) []byte { b[len(b)-10] ^= 1; return b },
		"longer":  func(b []byte) []byte { return append(b, 0, 0, 0, 1) },
	} {
		if err := os.WriteFile(path, edit(slices.Clone(whole)), 0o600); err != nil {
			t.Fatal(err)
		}
		r.open(0)
		want := 2
		if name == "longer" {
			want = 3
		}
		if n := r.Len(); n != want {
			t.Errorf("%s: %d are remembered, want %d", name, n, want)
		}
		r.came(r.root.Client("four"))
		r.again(0)
		if n := r.Len(); n != want+1 {
			t.Errorf("%s: %d are remembered with one more, want %d", name, n, want+1)
		}
		r.Close()
	}
}

func TestOfTheRefusedTheLastAreRemembered(t *testing.T) {
	r := newRig(t, 0)
	var all []*testpki.Certificate
	for i := range mostRefused + 2 {
		all = append(all, r.root.Client(fmt.Sprint(i)))
		r.Refused("devices", "default", all[i].Chain())
		r.Refused("devices", "default", all[i].Chain())
	}
	r.Refused("devices", "default", slices.Repeat(all[0].Chain(), 100)) // too large
	var names []string
	for _, c := range r.Strangers() {
		names = append(names, c.Presented[0].Subject.CommonName)
	}
	if len(names) != mostRefused || len(r.throng.index) != mostRefused || slices.Contains(names, "0") || slices.Contains(names, "1") || !slices.Contains(names, fmt.Sprint(mostRefused+1)) {
		t.Errorf("%d of the refused are remembered: %v", len(names), names)
	}
}

func TestADirectoryHasOneOwner(t *testing.T) {
	r := newRig(t, 0)
	if _, err := Open(Config{Dir: r.dir}); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func TestACertificateKnownCostsNoAllocation(t *testing.T) {
	r := newRig(t, 0)
	c := r.root.Client("one")
	r.came(c)
	r.again(0)
	chain, _ := r.store.Verify(c.Chain(), verify.Options{})
	sum := sha256.Sum256(c.X509.Raw)
	if n := testing.AllocsPerRun(100, func() { r.Came("devices", "default", chain, sum); r.Left(sum) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func FuzzAnyFileIsSurvived(f *testing.F) {
	r := newRig(f, 0)
	r.came(r.root.Intermediate("CA").Client("one"))
	r.Close()
	whole, err := os.ReadFile(filepath.Join(r.dir, "clients"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &Memory{index: map[print]uint32{}}
		end, err := m.recover(strings.NewReader(string(data)), int64(len(data)))
		if err != nil || end > int64(len(data)) {
			t.Fatalf("%d octets make sense up to %d: %v", len(data), end, err)
		}
		for i, s := range m.slots {
			if !s.used {
				continue
			}
			if s.at+int64(s.size) > end || !m.isPlace(s.place) || m.index[s.print] != uint32(i) {
				t.Fatalf("slot %d leads nowhere: %+v", i, s)
			}
		}
	})
}

func BenchmarkACertificateKnown(b *testing.B) {
	r := newRig(b, 0)
	c := r.root.Intermediate("CA").Client("one")
	r.came(c)
	r.again(0)
	chain, _ := r.store.Verify(c.Chain(), verify.Options{})
	sum := sha256.Sum256(c.X509.Raw)
	b.ReportAllocs()
	for b.Loop() {
		r.Came("devices", "default", chain, sum)
	}
}

func BenchmarkACertificateThatIsNew(b *testing.B) {
	r := newRig(b, 0)
	c := r.root.Intermediate("CA").Client("one")
	chain, _ := r.store.Verify(c.Chain(), verify.Options{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Came("devices", "default", chain, [32]byte{byte(i), byte(i >> 8), byte(i >> 16), 1})
	}
}
