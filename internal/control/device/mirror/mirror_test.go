package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/devices"
)

const patience = 30 * time.Second

// A rig is a mirror of a registry that others change.
type rig struct {
	*Mirror
	t        *testing.T
	store    *store.Store
	registry *device.Registry
	told     chan string // devices that connections were told of
	line     sync.RWMutex
	cutOff   bool // the mirror does not reach the store
	end      func()
}

var operator = device.Author{Who: "operator ann", Why: "test"}

// each runs a test on every store.
func each(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Run("sqlite", func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		test(t, s)
	})
	t.Run("postgres", func(t *testing.T) {
		s, err := postgres.Open(t.Context(), postgres.Config{URL: testrequire.PostgreSQL(t)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		test(t, s)
	})
}

func start(t *testing.T, s *store.Store, cfg Config) *rig {
	r := &rig{Mirror: New(cfg), t: t, store: s, registry: device.New(device.Config{Store: s}), told: make(chan string, 1000)}
	r.follow()
	return r
}

func (r *rig) follow() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		r.Follow(ctx, Source{Standings: standings{r}, Changes: log{r.store.Changes, r}, Sightings: r.store.Sightings, Suspect: func(ids []string) {
			for _, id := range ids {
				r.told <- id
			}
		}})
	})
	r.end = sync.OnceFunc(func() { cancel(); running.Wait() })
	r.t.Cleanup(r.end)
}

// standings and log lead to the store, unless they are cut off.
type standings struct{ r *rig }

var errAway = errors.New("connection refused")

func (l standings) Standings(ctx context.Context, ids []string) ([]store.Standing, error) {
	l.r.line.RLock()
	defer l.r.line.RUnlock()
	if l.r.cutOff {
		return nil, errAway
	}
	return l.r.store.Standings.Standings(ctx, ids)
}

type log struct {
	store.Changes
	r *rig
}

func (l log) Since(ctx context.Context, from store.Cursor, each func(store.Change)) (store.Cursor, error) {
	l.r.line.RLock()
	defer l.r.line.RUnlock()
	if l.r.cutOff {
		return "", errAway
	}
	return l.Changes.Since(ctx, from, each)
}

// cut cuts the line, or mends it, when nothing is under way on it.
func (r *rig) cut(off bool) {
	r.line.Lock()
	defer r.line.Unlock()
	r.cutOff = off
}

func (r *rig) add(id string, to countersign.State) {
	r.t.Helper()
	if _, err := r.registry.Add(r.t.Context(), operator, countersign.Device{ID: id, State: to}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) do(verb, id string) {
	r.t.Helper()
	if _, err := r.registry.Do(r.t.Context(), operator, verb, id); err != nil {
		r.t.Fatal(err)
	}
}

// look holds a device, and returns its record when something is known of it.
func (r *rig) look(id string) *devices.Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	d := r.Hold(id)
	r.Await(ctx, d)
	if ctx.Err() != nil {
		r.t.Fatalf("nothing became of the question about %s", id)
	}
	return d
}

func (r *rig) state(d *devices.Record, want countersign.State) {
	r.t.Helper()
	if k := d.Known(); k == nil || k.State != want {
		r.t.Fatalf("known of %s is %+v, want state %q", d.ID(), k, want)
	}
}

// until waits for connections to be told of a device.
func (r *rig) until(id string) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-r.told:
			if got == id {
				return
			}
		case <-timeout:
			r.t.Fatalf("connections were not told of %s", id)
		}
	}
}

func TestWhatIsKnownFollowsTheRegistry(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{})
		r.add("one", countersign.DeviceActive)
		one, nobody := r.look("one"), r.look("nobody")
		r.state(one, countersign.DeviceActive)
		r.state(nobody, "")
		for _, step := range []struct {
			verb string
			to   countersign.State
		}{{"suspend", countersign.DeviceSuspended}, {"resume", countersign.DeviceActive}, {"revoke", countersign.DeviceRevoked}} {
			r.do(step.verb, "one")
			r.until("one")
			r.state(one, step.to)
		}
		if one.Known().CutOff.IsZero() {
			t.Error("of a revoked device it is not known since when")
		}
		r.add("nobody", countersign.DeviceReady)
		r.until("nobody")
		r.state(nobody, countersign.DeviceReady)
	})
}

func TestCredentialsAreKnown(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{})
		r.add("one", countersign.DeviceActive)
		one := r.look("one")
		print := [32]byte{7}
		err := s.Credentials.Add(t.Context(), countersign.Credential{Device: "one", Serial: "07", Fingerprint: print, Issuer: "CN=CA",
			NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), State: countersign.CredentialValid, Added: time.Now()},
			countersign.TrailEntry{Who: "test", What: "credential", At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		r.until("one")
		if got := one.Known().Credentials; !slices.Equal(got, []devices.Credential{{Fingerprint: print}}) {
			t.Fatalf("known are %v", got)
		}
		r.do("revoke", "one")
		r.until("one")
		if got := one.Known().Credentials; !slices.Equal(got, []devices.Credential{{Fingerprint: print, Revoked: true}}) {
			t.Fatalf("known are %v", got)
		}
	})
}

func TestWithoutTheStoreWhatIsKnownStays(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var clock atomic.Int64
		clock.Store(time.Now().UnixNano())
		r := start(t, s, Config{Now: func() time.Time { return time.Unix(0, clock.Load()) }})
		r.add("known", countersign.DeviceActive)
		r.add("late", countersign.DeviceActive)
		known := r.look("known")
		r.cut(true)
		late := r.look("late")
		if k := late.Known(); k != nil {
			t.Errorf("without the store it is known that %v", k)
		}
		r.do("suspend", "known") // elsewhere
		r.look("later")          // one more question that is not answered
		r.state(known, countersign.DeviceActive)
		clock.Add(int64(time.Hour))
		if age := time.Unix(0, clock.Load()).Sub(r.State().Checked); age < time.Hour || r.State().Failures == 0 {
			t.Errorf("an hour without the store is shown as %+v", r.State())
		}
		r.cut(false)
		r.until("known")
		r.state(known, countersign.DeviceSuspended)
		late = r.look("late")
		r.state(late, countersign.DeviceActive)
		r.do("resume", "known")
		r.until("known") // told by a later reading of the log
		if got := r.State().Checked; !got.Equal(time.Unix(0, clock.Load())) {
			t.Errorf("once the store answers, what is known is of %v", got)
		}
	})
}

func TestALostPlaceInTheLogHasEverythingReadAnew(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{})
		r.add("one", countersign.DeviceActive)
		r.add("two", countersign.DeviceActive)
		one, two := r.look("one"), r.look("two")
		r.Release(two) // nobody holds it, but it is remembered
		r.do("suspend", "one")
		r.until("one") // by the log: its place is known
		r.do("resume", "one")
		r.until("one")
		r.cut(true)
		r.do("suspend", "one")
		r.do("revoke", "two")
		if err := s.Changes.Prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		r.cut(false)
		r.until("one")
		r.state(one, countersign.DeviceSuspended)
		if n := r.State().Resyncs; n == 0 {
			t.Error("the lost place was not noticed")
		}
		// Both were in one question, or two's came before that of the next.
		r.look("next")
		two = r.Hold("two")
		r.state(two, countersign.DeviceRevoked)
	})
}

// Nobody waits behind a million devices that are read anew.
func TestWhoWaitsComesBeforeWhatIsReadAnew(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := New(Config{})
	for i := range 3 * batch {
		m.Hold(fmt.Sprint("d", i)).Learn(&devices.Knowledge{State: countersign.DeviceActive})
	}
	for len(m.next()) > 0 {
	}
	if _, err := m.begin(t.Context(), s.Changes); err != nil {
		t.Fatal(err)
	}
	m.next()
	m.Hold("new")
	m.changed("d1")
	var first []string
	for _, e := range m.next() {
		first = append(first, e.ID())
	}
	if !slices.Equal(first, []string{"new", "d1"}) {
		t.Errorf("first is asked for %d devices, %v", len(first), first[:min(len(first), 3)])
	}
	left := 0
	for some := m.next(); len(some) > 0; some = m.next() {
		left += len(some)
	}
	if left != 2*batch {
		t.Errorf("%d devices are read anew behind that, want %d", left, 2*batch)
	}
}

func TestAFollowerThatStartsAgainCatchesUp(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{})
		r.add("one", countersign.DeviceActive)
		one := r.look("one")
		r.end()
		r.do("suspend", "one")
		r.follow()
		r.until("one")
		r.state(one, countersign.DeviceSuspended)
	})
}

func TestWhereDevicesWereSeenIsWrittenDown(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{Every: time.Hour}) // and in the end
		r.add("one", countersign.DeviceActive)
		one, nobody := r.look("one"), r.look("nobody")
		first, address := time.Now(), netip.MustParseAddr("192.0.2.7")
		r.Seen(one, first, address)
		r.Seen(nobody, first, address)
		r.Seen(one, first.Add(time.Second), netip.MustParseAddr("192.0.2.8"))
		r.end()
		d, err := s.Devices.Device(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		if d.LastAddress != address || d.LastSeen.UnixMilli() != first.UnixMilli() || !d.FirstSeen.Equal(d.LastSeen) {
			t.Errorf("seen first at %v, last at %v from %v; want %v from %v", d.FirstSeen, d.LastSeen, d.LastAddress, first, address)
		}
		r.follow()
		r.Seen(one, first.Add(devices.Sample), address)
		r.end()
		if d, err = s.Devices.Device(t.Context(), "one"); err != nil || d.LastSeen.UnixMilli() != first.Add(devices.Sample).UnixMilli() {
			t.Errorf("later it is seen at %v, %v", d.LastSeen, err)
		}
	})
}

func TestWhatIsNotInUseForLongestIsForgotten(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := start(t, s, Config{Size: 2})
	defer r.end()
	for i := range 5 {
		r.add(fmt.Sprint("d", i), countersign.DeviceActive)
	}
	held := r.look("d0")
	for i := 1; i < 5; i++ {
		r.Release(r.look(fmt.Sprint("d", i)))
	}
	r.Release(r.look("nobody"))
	if st := r.State(); st.Devices != 3 || st.Held != 1 {
		t.Errorf("%d devices are remembered, %d held; want 3 and 1", st.Devices, st.Held)
	}
	hits := r.State().Hits
	r.look("d4")
	r.look("d3")
	if n := r.State().Hits - hits; n != 2 {
		t.Errorf("of the two that were in use last, %d are known", n)
	}
	if r.Hold("d0") != held {
		t.Error("a device that is held has two records")
	}
	hits = r.State().Hits
	r.Hold("d1")
	if r.State().Hits != hits {
		t.Error("the one that was not in use for longest is known still")
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := start(t, s, Config{Size: 10})
	defer r.end()
	const many = 50
	for i := range many {
		r.add(fmt.Sprint("d", i), countersign.DeviceActive)
	}
	var clients sync.WaitGroup
	for c := range 8 {
		clients.Go(func() {
			for i := range 300 {
				d := r.Hold(fmt.Sprint("d", (i*7+c)%many))
				r.Await(context.Background(), d)
				if k := d.Known(); k == nil || k.State != countersign.DeviceActive {
					t.Errorf("known of %s is %v", d.ID(), k)
				}
				r.Release(d)
			}
		})
	}
	clients.Wait()
	if st := r.State(); st.Held != 0 || st.Devices != 10 || r.unused.length != 10 {
		t.Errorf("in the end there are %+v", st)
	}
}
