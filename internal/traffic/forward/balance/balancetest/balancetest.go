// Package balancetest holds what every balance.Algorithm must do.
package balancetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"countersign.dev/internal/traffic/forward/balance"
	"pgregory.net/rapid"
)

// A Target is a balance.Member whose load the test sets.
type Target struct {
	Name string
	Load atomic.Int64
}

func (t *Target) Address() string { return t.Name }
func (t *Target) InFlight() int64 { return t.Load.Load() }

// Members returns n targets without load, 192.0.2.1:80 and following.
func Members(n int) []balance.Member {
	members := make([]balance.Member, n)
	for i := range members {
		members[i] = &Target{Name: fmt.Sprintf("192.0.2.%d:80", i+1)}
	}
	return members
}

// Run tests the algorithm with the given name of the configuration.
func Run(t *testing.T, name string) {
	t.Helper()
	fresh := func(t testing.TB) balance.Algorithm {
		t.Helper()
		a, err := balance.New(name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	t.Run("nobody to choose from", func(t *testing.T) {
		if i := fresh(t).Over(nil).Pick(balance.Request{}); i != -1 {
			t.Errorf("picked %d of none, want -1", i)
		}
	})

	t.Run("everyone is used", func(t *testing.T) {
		const n = 5
		p := fresh(t).Over(Members(n))
		used := make([]int, n)
		for range n * 100 {
			used[p.Pick(balance.Request{})]++
		}
		for i, times := range used {
			if times == 0 {
				t.Errorf("member %d was never picked: %v", i, used)
			}
		}
	})

	t.Run("never one that was tried", rapid.MakeCheck(func(t *rapid.T) {
		n := rapid.IntRange(1, balance.MaxTried).Draw(t, "members")
		members := Members(n)
		for _, m := range members {
			m.(*Target).Load.Store(rapid.Int64Range(0, 3).Draw(t, "load"))
		}
		a, err := balance.New(name)
		if err != nil {
			t.Fatal(err)
		}
		p := a.Over(members)
		var r balance.Request
		for range n {
			i := p.Pick(r)
			if i < 0 || i >= n || r.Tried.Has(i) {
				t.Fatalf("picked %d of %d, tried %v", i, n, r.Tried)
			}
			r.Tried.Add(i)
		}
		if i := p.Pick(r); i != -1 {
			t.Fatalf("picked %d after all %d were tried, want -1", i, n)
		}
	}))

	t.Run("sets change under way", func(t *testing.T) {
		a := fresh(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for n := range 200 {
					members := Members(n % 7)
					p := a.Over(members)
					for range 20 {
						i := p.Pick(balance.Request{})
						if i >= len(members) || (i < 0) != (len(members) == 0) {
							t.Errorf("picked %d of %d", i, len(members))
							return
						}
						if i >= 0 {
							members[i].(*Target).Load.Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
	})

	t.Run("no allocation", func(t *testing.T) {
		p := fresh(t).Over(Members(5))
		var r balance.Request
		r.Tried.Add(2)
		if n := testing.AllocsPerRun(1000, func() { p.Pick(r) }); n != 0 {
			t.Errorf("%v allocations in Pick", n)
		}
	})
}
