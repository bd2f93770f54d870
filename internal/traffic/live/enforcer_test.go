package live

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fleet is simulated connections, with what was asked of them.
type fleet struct {
	*Registry
	*Enforcer
	conns []*device

	asked, ended, cut atomic.Int64
	last              atomic.Int64 // Told
}

type device struct {
	Entry
	of      *fleet
	refused atomic.Pointer[countersign.Denial]
	until   atomic.Pointer[Standing] // where it moves when it is asked; nil: nowhere

	mu sync.Mutex
	history
}

type history struct {
	asked         int
	expelled, cut []time.Time
}

func (d *device) Accepted() *countersign.Denial {
	d.of.asked.Add(1)
	d.mu.Lock()
	d.asked++
	d.mu.Unlock()
	if why := d.refused.Load(); why != nil {
		return why
	}
	if s := d.until.Load(); s != nil {
		d.of.Put(&d.Entry, d, *s)
	}
	return nil
}

func (d *device) Expel(*countersign.Denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expelled = append(d.expelled, time.Now())
}

func (d *device) Cut(*countersign.Denial) {
	d.of.cut.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = append(d.cut, time.Now())
}

// seen is what has happened to the device.
func (d *device) seen() (s history) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.history
}

func newFleet(standings []Standing) *fleet {
	f := &fleet{Registry: NewRegistry()}
	f.Enforcer = NewEnforcer(Config{Registry: f.Registry,
		Ended: func(Conn, *countersign.Denial) { f.ended.Add(1) },
		Told: func(last bool) {
			if last {
				f.last.Add(1)
			}
		}})
	for _, s := range standings {
		d := &device{of: f}
		f.Put(&d.Entry, d, s)
		f.conns = append(f.conns, d)
	}
	return f
}

// within is the standing of clients that stay for d.
func within(d time.Duration) Standing {
	return Standing{place: place{listener: "devices", store: "fleet"}, until: time.Now().Add(d)}
}

var revocationOfOne = countersign.Deny(countersign.StageVerify, countersign.ClientCertCrlHit, "revoked")

// One of a hundred thousand is revoked: one is asked.
func TestOneRevocationAsksOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := testpki.NewRoot(t, "Root")
		lost, s := root.Client("lost"), store(t, "fleet", root)
		f := newFleet(many(100_000))
		defer f.Close()
		d := &device{of: f}
		chain, denial := s.Verify(lost.Chain(), verify.Options{})
		if denial != nil {
			t.Fatal(denial)
		}
		f.Put(&d.Entry, d, f.Standing("devices", chain, [32]byte{1}))
		d.refused.Store(revocationOfOne)
		f.Suspect(func() []*Entry { return f.Holding(nil, revoked(lost)) })
		synctest.Wait()
		if f.asked.Load() != 1 || f.ended.Load() != 1 || len(d.seen().expelled) != 1 || f.Len() != 100_000 {
			t.Errorf("%d were asked and %d ended, want 1 of each; %d are left", f.asked.Load(), f.ended.Load(), f.Len())
		}
	})
}

func TestHalfOfTenThousandAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		f := newFleet(many(n))
		defer f.Close()
		for i, d := range f.conns {
			if i%2 == 0 {
				d.refused.Store(revocationOfOne)
			}
		}
		began := time.Now()
		f.Suspect(func() []*Entry { return f.Under(nil, "devices", "fleet") })
		for f.asked.Load() < n {
			time.Sleep(time.Millisecond) // those who ask pause
		}
		synctest.Wait()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the pauses alone take %v", took)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for i, d := range f.conns {
			if refused := i%2 == 0; d.seen().asked != 1 || (len(d.seen().expelled) == 1) != refused || (len(d.seen().cut) == 1) != refused {
				t.Fatalf("connection %d, refused %t: asked %d times, expelled %d, cut %d", i, refused, d.seen().asked, len(d.seen().expelled), len(d.seen().cut))
			}
		}
		if f.ended.Load() != n/2 || f.Len() != n/2 || f.last.Load() == 0 {
			t.Errorf("%d ended, %d are left; told of the last %d times", f.ended.Load(), f.Len(), f.last.Load())
		}
	})
}

func TestWhoIsExpelledHasASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet([]Standing{within(time.Hour), within(time.Hour)})
		defer f.Close()
		began := time.Now()
		for i, d := range f.conns {
			f.Refused(&d.Entry, revocationOfOne)
			f.Refused(&d.Entry, revocationOfOne) // by another who noticed
			if i == 0 {
				time.Sleep(300 * time.Millisecond)
			}
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for i, want := range []time.Duration{0, 300 * time.Millisecond} {
			d := f.conns[i]
			if len(d.seen().expelled) != 1 || d.seen().expelled[0].Sub(began) != want {
				t.Errorf("connection %d was expelled %d times", i, len(d.seen().expelled))
			}
			if len(d.seen().cut) != 1 {
				t.Fatalf("connection %d was cut %d times", i, len(d.seen().cut))
			}
			if after := d.seen().cut[0].Sub(began) - want; after < time.Second || after > time.Second+together {
				t.Errorf("connection %d was cut after %v", i, after)
			}
		}
		if f.ended.Load() != 2 {
			t.Errorf("%d ended", f.ended.Load())
		}
	})
}

// A deadline, then the client is accepted on, to another; at that it is refused.
func TestTimeEndsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := newFleet([]Standing{within(time.Hour), within(30 * time.Hour), within(20 * time.Minute)})
		defer f.Close()
		first, never, renewed := f.conns[0], f.conns[1], f.conns[2]
		first.refused.Store(revocationOfOne)
		never.refused.Store(revocationOfOne)
		later := within(90 * time.Minute)
		renewed.until.Store(&later)
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if renewed.seen().asked != 1 {
			t.Errorf("asked %d times when its time was over", renewed.seen().asked)
		}
		renewed.refused.Store(revocationOfOne)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for d, want := range map[*device]time.Duration{first: time.Hour, renewed: 90 * time.Minute} {
			if len(d.seen().expelled) != 1 {
				t.Fatalf("expelled %d times", len(d.seen().expelled))
			}
			if after := d.seen().expelled[0].Sub(began) - want; after <= 0 || after > time.Millisecond {
				t.Errorf("expelled %v after its time", after)
			}
		}
		if never.seen().asked != 0 || renewed.seen().asked != 2 || f.Len() != 1 {
			t.Errorf("asked %d times before its time, %d times in all; %d are left", never.seen().asked, renewed.seen().asked, f.Len())
		}
	})
}

// A deadline that is sooner than all others is not slept through.
func TestASoonerDeadlineIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(nil)
		defer f.Close()
		synctest.Wait()
		d := &device{of: f}
		d.refused.Store(revocationOfOne)
		f.Put(&d.Entry, d, within(time.Second))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(d.seen().expelled) != 1 {
			t.Errorf("expelled %d times", len(d.seen().expelled))
		}
	})
}

// Whoever stays although its time is over is asked again, not for ever at once.
func TestWhoStaysAlthoughItsTimeIsOverIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet([]Standing{within(time.Second)})
		defer f.Close()
		time.Sleep(10500 * time.Millisecond)
		synctest.Wait()
		if n := f.conns[0].seen().asked; n < 8 || n > 11 {
			t.Errorf("asked %d times in ten seconds", n)
		}
	})
}

// Everything at once; the race detector looks on.
func TestConnectionsComeAndGoWhileTheyAreLookedFor(t *testing.T) {
	f := newFleet(nil)
	standings := many(64)
	for i := range standings {
		standings[i].until = time.Now().Add(time.Duration(i%8) * time.Millisecond)
	}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 500 {
				d := &device{of: f}
				if random.IntN(2) == 0 {
					d.refused.Store(revocationOfOne)
				}
				f.Put(&d.Entry, d, standings[random.IntN(len(standings))])
				f.Put(&d.Entry, d, standings[random.IntN(len(standings))])
				f.Suspect(func() []*Entry { return f.Under(nil, "devices", "fleet") })
				switch random.IntN(3) {
				case 0:
					f.Refused(&d.Entry, revocationOfOne)
				case 1:
					f.Remove(&d.Entry)
				}
			}
		})
	}
	all.Wait()
	f.Close()
	f.Close() // does nothing more
	f.Refused(new(Entry), revocationOfOne)
	f.Suspect(func() []*Entry { panic("asked after the end") })
}
