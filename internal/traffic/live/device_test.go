package live

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

func TestADeviceIsFoundByItsConnections(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	old, renewed, other := root.Client("old"), root.Client("renewed"), root.Client("other")
	fleet, r := store(t, "fleet", root), NewRegistry()
	belonging := func(e *Entry, c *testpki.Certificate, device string) *Entry {
		s := standing(t, r, "l1", fleet, c)
		if device != "" {
			s.Device = r.Device(device)
		}
		r.Put(e, still{}, s)
		return e
	}
	a, b, c := belonging(new(Entry), old, "MacID-1"), belonging(new(Entry), old, "MacID-1"), belonging(new(Entry), renewed, "MacID-1")
	d, stray := belonging(new(Entry), other, "MacID-2"), belonging(new(Entry), other, "")
	passed, _ := verify.Unverified(other.Chain())
	shown := r.Standing("l2", passed, sha256.Sum256(other.X509.Raw))
	shown.Device = r.Device("MacID-2")
	e := new(Entry)
	r.Put(e, still{}, shown)

	same(t, "a device with two certificates", r.Of(nil, "MacID-1"), a, b, c)
	same(t, "a certificate that not all show as that device", r.Of(nil, "MacID-2"), d, e)
	same(t, "a device that nobody is", r.Of(nil, "MacID-3"))

	r.Remove(a)
	same(t, "one of its connections less", r.Of(nil, "MacID-1"), b, c)
	r.Remove(b)
	same(t, "one of its certificates less", r.Of(nil, "MacID-1"), c)
	belonging(c, renewed, "MacID-2") // it has changed hands
	same(t, "the device that it was", r.Of(nil, "MacID-1"))
	same(t, "the device that it is", r.Of(nil, "MacID-2"), c, d, e)
	for _, e := range []*Entry{c, d, e, stray} {
		r.Remove(e)
	}
	if len(r.devices) != 0 {
		t.Errorf("%d devices are left", len(r.devices))
	}
}

// Whatever comes, moves and goes, a device has the connections that it should have.
func TestDevicesAreFoundHoweverConnectionsMove(t *testing.T) {
	const certificates, ids = 5, 3
	random, r := rand.New(rand.NewPCG(5, 6)), NewRegistry()
	names := [ids]string{"", "MacID-1", "MacID-2"}
	of := map[*Entry]string{}
	for range 2000 {
		e := new(Entry)
		for known := range of { // any one
			if random.IntN(2) == 0 {
				e = known
			}
			break
		}
		if random.IntN(3) == 0 {
			r.Remove(e)
			delete(of, e)
		} else {
			s := Standing{leaf: Key(random.IntN(certificates)), known: true}
			if of[e] = names[random.IntN(ids)]; of[e] != "" {
				s.Device = r.Device(of[e])
			}
			r.Put(e, still{}, s)
		}
		for _, name := range names[1:] {
			var want []*Entry
			for e, is := range of {
				if is == name {
					want = append(want, e)
				}
			}
			same(t, name, r.Of(nil, name), want...)
		}
	}
}
