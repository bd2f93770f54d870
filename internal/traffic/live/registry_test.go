package live

import (
	"crypto/sha256"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

// A still is a connection to which nothing happens.
type still struct{}

func (still) Accepted() *countersign.Denial { return nil }
func (still) Expel(*countersign.Denial)     {}
func (still) Cut(*countersign.Denial)       {}

func store(t testing.TB, name string, anchors ...*testpki.Certificate) *verify.Store {
	t.Helper()
	cfg := verify.Config{Name: name}
	for _, a := range anchors {
		cfg.Anchors = append(cfg.Anchors, a.X509)
	}
	s, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// enter puts a client into r that s has verified.
func enter(t testing.TB, r *Registry, listener string, s *verify.Store, c *testpki.Certificate) *Entry {
	t.Helper()
	e := new(Entry)
	r.Put(e, still{}, standing(t, r, listener, s, c))
	return e
}

func standing(t testing.TB, r *Registry, listener string, s *verify.Store, c *testpki.Certificate) Standing {
	t.Helper()
	chain, denial := s.Verify(c.Chain(), verify.Options{})
	if denial != nil {
		t.Fatal(denial)
	}
	return r.Standing(listener, chain, sha256.Sum256(c.X509.Raw))
}

func revoked(certs ...*testpki.Certificate) (all []revocation.Certificate) {
	for _, c := range certs {
		all = append(all, revocation.Certificate{Issuer: c.X509.RawIssuer, Serial: c.X509.SerialNumber.Bytes()})
	}
	return all
}

// same reports whether two sets of entries are equal.
func same(t *testing.T, what string, got []*Entry, want ...*Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d entries, want %d", what, len(got), len(want))
		return
	}
	for _, e := range want {
		if !slices.Contains(got, e) {
			t.Errorf("%s: an entry is missing", what)
		}
	}
}

func TestConnectionsAreFoundByWhatTheyRestOn(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	one, two := root.Intermediate("One"), root.Intermediate("Two")
	deep := one.Intermediate("Deep")
	a, b, c, d := one.Client("a"), one.Client("b"), two.Client("c"), deep.Client("d")
	fleet, ops := store(t, "fleet", root), store(t, "ops", root)
	r := NewRegistry()
	ea := enter(t, r, "l1", fleet, a)
	again := enter(t, r, "l2", fleet, a)
	eb, ec, ed := enter(t, r, "l1", fleet, b), enter(t, r, "l1", ops, c), enter(t, r, "l1", fleet, d)
	nobody := new(Entry)
	r.Put(nobody, still{}, r.Standing("l1", verify.Chain{}, [32]byte{}))
	passed, _ := verify.Unverified(a.Chain())
	shown := new(Entry)
	r.Put(shown, still{}, r.Standing("l3", passed, sha256.Sum256(a.X509.Raw)))

	same(t, "a client's certificate", r.Holding(nil, revoked(a)), ea, again, shown)
	same(t, "two of them", r.Holding(nil, revoked(b, c)), eb, ec)
	same(t, "an intermediate", r.Holding(nil, revoked(one)), ea, again, eb, ed)
	same(t, "an intermediate below it", r.Holding(nil, revoked(deep)), ed)
	same(t, "an anchor, which is on no list", r.Holding(nil, revoked(root)))
	same(t, "a stranger's", r.Holding(nil, revoked(root.Client("x"))))
	same(t, "a serial number with a zero in front", r.Holding(nil,
		[]revocation.Certificate{{Issuer: b.X509.RawIssuer, Serial: append([]byte{0}, b.X509.SerialNumber.Bytes()...)}}), eb)
	same(t, "a fingerprint", r.With(nil, sha256.Sum256(a.X509.Raw)), ea, again, shown)
	same(t, "a listener", r.At(nil, "l1"), ea, eb, ec, ed, nobody)
	same(t, "a listener and store", r.Under(nil, "l1", "fleet"), ea, eb, ed)
	same(t, "nobody there", r.Under(nil, "l2", "ops"))

	// Moved: it is found where it is, no longer where it was.
	r.Put(eb, still{}, standing(t, r, "l1", ops, b))
	same(t, "the store it has left", r.Under(nil, "l1", "fleet"), ea, ed)
	same(t, "the store it came to", r.Under(nil, "l1", "ops"), eb, ec)
	same(t, "its certificate all the same", r.Holding(nil, revoked(b)), eb)

	for _, e := range []*Entry{ea, again, eb, ec, ed, nobody, shown} {
		if !r.Remove(e) {
			t.Error("an entry was not there")
		}
		if r.Remove(e) {
			t.Error("an entry was there twice")
		}
	}
	r.Put(ea, still{}, standing(t, r, "l1", fleet, a))
	if r.Len() != 0 || len(r.groups)+len(r.over)+len(r.leaves)+len(r.devices)+len(r.due) != 0 {
		t.Errorf("something is left: %d groups, %d intermediates, %d leaves, %d deadlines", len(r.groups), len(r.over), len(r.leaves), len(r.due))
	}
}

func TestDeadlinesComeInOrder(t *testing.T) {
	r := NewRegistry()
	now := time.Unix(1_000_000, 0)
	random := rand.New(rand.NewPCG(1, 2))
	until := map[*Entry]time.Time{}
	for range 2000 {
		e := new(Entry)
		at := now.Add(time.Duration(random.IntN(1000)) * time.Second)
		if random.IntN(10) == 0 {
			at = time.Time{}
		}
		r.Put(e, still{}, Standing{until: at})
		until[e] = at
	}
	for e := range until { // some move, some leave
		switch random.IntN(4) {
		case 0:
			until[e] = now.Add(time.Duration(random.IntN(1000)) * time.Second)
			r.Put(e, still{}, Standing{until: until[e]})
		case 1:
			r.Remove(e)
			delete(until, e)
		}
	}
	const again = time.Hour
	for step := 0; step <= 1000; step += 7 {
		at := now.Add(time.Duration(step) * time.Second)
		due, next := r.Due(nil, at, again)
		for _, e := range due {
			if !until[e].Before(at) || until[e].IsZero() {
				t.Fatalf("due at %v, its time is %v", at, until[e])
			}
			r.Remove(e)
			delete(until, e)
		}
		soonest := time.Time{}
		for _, u := range until {
			if !u.IsZero() && u.Before(at) {
				t.Fatalf("not due at %v, its time was %v", at, u)
			}
			if !u.IsZero() && (soonest.IsZero() || u.Before(soonest)) {
				soonest = u
			}
		}
		if !next.Equal(soonest) {
			t.Fatalf("the next is said to be due after %v, want %v", next, soonest)
		}
	}
}

func TestWhoIsDueIsDueAgainUnlessMoved(t *testing.T) {
	r, e, now := NewRegistry(), new(Entry), time.Unix(1_000_000, 0)
	r.Put(e, still{}, Standing{until: now})
	if due, _ := r.Due(nil, now, time.Second); len(due) != 0 {
		t.Error("due at the instant to which it is good")
	}
	if due, next := r.Due(nil, now.Add(1), time.Second); len(due) != 1 || !next.Equal(now.Add(1+time.Second)) {
		t.Errorf("%d are due, again after %v", len(due), next)
	}
	r.Put(e, still{}, Standing{until: now.Add(time.Hour)})
	if due, next := r.Due(nil, now.Add(time.Minute), time.Second); len(due) != 0 || !next.Equal(now.Add(time.Hour)) {
		t.Errorf("%d are due, the next after %v", len(due), next)
	}
}

// many are standings as a fleet has them: a certificate each, a few issuers.
func many(n int) []Standing {
	random := rand.New(rand.NewPCG(3, 4))
	all := make([]Standing, n)
	for i := range all {
		all[i] = Standing{
			place: place{listener: "devices", store: "fleet", above: Key(random.IntN(8))},
			leaf:  Key(random.Uint64()), print: Key(random.Uint64()), known: true,
			until: time.Unix(2_000_000_000+int64(random.IntN(1e6)), 0),
		}
	}
	return all
}

// A connection's part of a registry is 200 bytes at most: idle ones are many.
func TestAnEntryIsSmall(t *testing.T) {
	const n = 100_000
	standings := many(n)
	before := heap()
	r, entries := NewRegistry(), make([]Entry, n)
	for i := range entries {
		r.Put(&entries[i], still{}, standings[i])
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes", each)
	if each > 200 {
		t.Errorf("%.0f bytes for each connection, want 200 at most", each)
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(entries)
	runtime.KeepAlive(standings)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestToBeFoundAllocatesNothing(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	device, s := root.Client("device"), store(t, "fleet", root)
	r := NewRegistry()
	enter(t, r, "devices", s, device)
	list, found := revoked(device), make([]*Entry, 0, 8)
	if n := testing.AllocsPerRun(100, func() { found = r.Holding(found[:0], list) }); n > 0 || len(found) != 1 {
		t.Errorf("%v allocations to find %d", n, len(found))
	}
}

func TestSerialNumbersOfAnyLengthAreFound(t *testing.T) {
	r := NewRegistry()
	for _, serial := range []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 159), new(big.Int).Lsh(big.NewInt(1), 400)} {
		if r.certificate([]byte("x"), serial.Bytes()) != r.certificate([]byte("x"), append([]byte{0, 0}, serial.Bytes()...)) {
			t.Errorf("%v is not %v", serial, serial)
		}
	}
}

func BenchmarkPutAndRemove(b *testing.B) {
	standings := many(1 << 17)
	r := NewRegistry()
	entries := make([]Entry, len(standings))
	for i := range entries {
		r.Put(&entries[i], still{}, standings[i])
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e := &entries[i%len(entries)]
		r.Remove(e)
		*e = Entry{}
		r.Put(e, still{}, standings[i%len(entries)])
		i++
	}
}
