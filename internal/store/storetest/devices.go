package storetest

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

func found(t *testing.T, s *store.Store, _ reopen) {
	d := device("AA:BB:CC:00:00:01", countersign.DeviceProvisioned, "site", "Köln 3", "model", `x"1`)
	d.Notes = "behind the door\nof hall 3 'left'"
	create(t, s, d)
	d.Revision = 1
	equal(t, "the device", get(t, s, d.ID), d)
}

func unknown(t *testing.T, s *store.Store, _ reopen) {
	ctx := t.Context()
	_, err := s.Devices.Device(ctx, "nobody")
	want(t, err, store.ErrUnknown)
	_, err = s.Devices.Update(ctx, "nobody", func(*store.Draft) error { t.Error("edit is called for a device that is unknown"); return nil })
	want(t, err, store.ErrUnknown)
	_, err = s.Credentials.Credential(ctx, [32]byte{1})
	want(t, err, store.ErrUnknown)
	err = s.Credentials.Add(ctx, countersign.Credential{Device: "nobody", Fingerprint: [32]byte{1}, State: countersign.CredentialValid}, entry("credential"))
	want(t, err, store.ErrUnknown)
	_, err = s.Credentials.Credential(ctx, [32]byte{1})
	want(t, err, store.ErrUnknown)
	p, err := s.Devices.List(ctx, store.Query{})
	if err != nil || len(p.Devices) != 0 || p.Next != "" {
		t.Errorf("the list of an empty store is %v, %v", p, err)
	}
}

func once(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	err := s.Devices.Create(t.Context(), device("one", countersign.DeviceActive), by)
	want(t, err, store.ErrExists)
	if d := get(t, s, "one"); d.State != countersign.DeviceReady || d.Revision != 1 {
		t.Errorf("the second one altered the first: %+v", d)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.Devices.Create(t.Context(), device("two", countersign.DeviceReady), by)
		})
	}
	wg.Wait()
	added := 0
	for _, err := range errs {
		if err == nil {
			added++
		} else {
			want(t, err, store.ErrExists)
		}
	}
	if added != 1 {
		t.Errorf("of 8 that added one device at once, %d did", added)
	}
}

func altered(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady, "site", "a", "model", "x"))
	got, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State = countersign.DeviceActive
		d.Device.Labels = map[string]string{"site": "b"}
		d.Device.Notes = "new"
		d.Device.Created = d.Device.Created.Add(time.Hour) // is not altered
		d.Entry = entry("activate")
		d.Entry.Detail = "moved"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d := device("one", countersign.DeviceActive, "site", "b")
	d.Notes, d.Revision = "new", 2
	equal(t, "what Update returns", got, d)
	equal(t, "what is kept", get(t, s, "one"), d)
	for label, n := range map[string]int{"a": 0, "b": 1} {
		p, err := s.Devices.List(t.Context(), store.Query{Labels: map[string]string{"site": label}})
		if err != nil || len(p.Devices) != n {
			t.Errorf("by label site=%s there are %d, %v, want %d", label, len(p.Devices), err, n)
		}
	}
	trail, err := s.Trail.Of(t.Context(), "one", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	first, second := by, entry("activate")
	first.Device, first.Number, first.To = "one", 1, countersign.DeviceReady
	second.Device, second.Number, second.From, second.To, second.Detail = "one", 2, countersign.DeviceReady, countersign.DeviceActive, "moved"
	first.Hash = store.Seal([32]byte{}, first)
	second.Hash = store.Seal(first.Hash, second)
	equal(t, "the trail", trail, []countersign.TrailEntry{first, second})
}

func refused(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady, "site", "a"))
	before, err := s.Changes.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	_, err = s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State, d.EndCredentials = countersign.DeviceRetired, true
		d.Device.Labels["site"] = "b"
		return no
	})
	want(t, err, no)
	d := device("one", countersign.DeviceReady, "site", "a")
	d.Revision = 1
	equal(t, "the device", get(t, s, "one"), d)
	if _, got := since(t, s, before); len(got) != 0 {
		t.Errorf("the change log has %v of it", got)
	}
}

func together(t *testing.T, s *store.Store, again reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	other := again(t)
	var wg sync.WaitGroup
	for i := range 20 {
		on := s
		if i%2 == 1 {
			on = other
		}
		wg.Go(func() {
			_, err := on.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
				d.Device.Notes += "x"
				d.Entry = entry("edit")
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d := get(t, s, "one"); len(d.Notes) != 20 || d.Revision != 21 {
		t.Errorf("after 20 alterations by two nodes %d are there, revision %d", len(d.Notes), d.Revision)
	}
	check(t, s, "one", 21)
}

// check walks the trail in pieces.
func check(t *testing.T, s *store.Store, id string, length int64) {
	t.Helper()
	var chain store.Chain
	for {
		part, err := s.Trail.Of(t.Context(), id, chain.Length(), 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range part {
			if err := chain.Check(e); err != nil {
				t.Fatal(err)
			}
		}
		if len(part) < 4 {
			break
		}
	}
	if chain.Length() != length {
		t.Errorf("the trail of %s has %d entries, want %d", id, chain.Length(), length)
	}
}

func credential(device string, n byte) countersign.Credential {
	return countersign.Credential{Device: device, Serial: fmt.Sprintf("%02X", n), Fingerprint: [32]byte{n}, Issuer: "CN=Fleet CA",
		NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0), State: countersign.CredentialValid, Added: noon.Add(time.Duration(n) * time.Minute)}
}

func credentials(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive), device("two", countersign.DeviceActive))
	for _, n := range []byte{1, 3, 2} {
		if err := s.Credentials.Add(t.Context(), credential("one", n), entry("credential")); err != nil {
			t.Fatal(err)
		}
	}
	err := s.Credentials.Add(t.Context(), credential("two", 3), entry("credential"))
	want(t, err, store.ErrExists)
	got, err := s.Credentials.Of(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the credentials", got, []countersign.Credential{credential("one", 3), credential("one", 2), credential("one", 1)})
	c, err := s.Credentials.Credential(t.Context(), [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the one that was asked for", c, credential("one", 2))
	check(t, s, "one", 4)
	check(t, s, "two", 1)
}

func ended(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive), device("two", countersign.DeviceActive))
	for i, id := range []string{"one", "one", "two"} {
		if err := s.Credentials.Add(t.Context(), credential(id, byte(i)), entry("credential")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.State, d.EndCredentials, d.Entry = countersign.DeviceRevoked, true, entry("revoke")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, state := range map[string]countersign.CredentialState{"one": countersign.CredentialRevoked, "two": countersign.CredentialValid} {
		all, err := s.Credentials.Of(t.Context(), id)
		if err != nil || len(all) == 0 {
			t.Fatal(all, err)
		}
		for _, c := range all {
			if c.State != state {
				t.Errorf("credential %s of %s is %s, want %s", c.Serial, id, c.State, state)
			}
		}
	}
}

func chained(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceReady))
	for range 8 {
		_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
			d.Entry = entry("edit")
			d.Device.Notes += "."
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	check(t, s, "one", 9)
	all, err := s.Trail.Of(t.Context(), "one", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]countersign.TrailEntry) []countersign.TrailEntry{
		"an altered reason": func(e []countersign.TrailEntry) []countersign.TrailEntry { e[3].Why = "no reason"; return e },
		"an entry less":     func(e []countersign.TrailEntry) []countersign.TrailEntry { return slices.Delete(e, 3, 4) },
		"entries exchanged": func(e []countersign.TrailEntry) []countersign.TrailEntry { e[3], e[4] = e[4], e[3]; return e },
		"another author":    func(e []countersign.TrailEntry) []countersign.TrailEntry { e[0].Who = "operator eve"; return e },
		"a rewritten entry": func(e []countersign.TrailEntry) []countersign.TrailEntry {
			e[3].Why = "no reason"
			e[3].Hash = store.Seal(e[2].Hash, e[3])
			return e
		},
	} {
		var chain store.Chain
		var bad error
		for _, e := range spoil(slices.Clone(all)) {
			if bad = chain.Check(e); bad != nil {
				break
			}
		}
		if bad == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func sightings(t *testing.T, s *store.Store, _ reopen) {
	create(t, s, device("one", countersign.DeviceActive))
	start, _ := s.Changes.Now(t.Context())
	v := func(minutes int, address string) store.Sighting {
		return store.Sighting{Device: "one", At: noon.Add(time.Duration(minutes) * time.Minute), Address: address}
	}
	for _, seen := range [][]store.Sighting{
		{v(5, "192.0.2.1"), {Device: "nobody", At: noon, Address: "192.0.2.9"}},
		{v(9, "2001:db8::1"), v(7, "192.0.2.3")},
		{v(8, "192.0.2.4")},
		{},
	} {
		if err := s.Sightings.Record(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	d := device("one", countersign.DeviceActive)
	d.FirstSeen, d.LastSeen, d.LastAddress, d.Revision = v(5, "").At, v(9, "").At, netip.MustParseAddr("2001:db8::1"), 1
	equal(t, "the device", get(t, s, "one"), d)
	if _, got := since(t, s, start); len(got) > 0 {
		t.Errorf("sightings are in the change log: %v", got)
	}
	_, err := s.Devices.Device(t.Context(), "nobody")
	want(t, err, store.ErrUnknown)
}

func again(t *testing.T, s *store.Store, again reopen) {
	fill(t, s)
	if err := s.Credentials.Add(t.Context(), credential("d00", 1), entry("credential")); err != nil {
		t.Fatal(err)
	}
	all := walk(t, s, store.Query{Limit: 50})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := again(t)
	equal(t, "the devices", walk(t, other, store.Query{Limit: 50}), all)
	check(t, other, "d00", 2)
}
