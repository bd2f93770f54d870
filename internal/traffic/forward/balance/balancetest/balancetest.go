// Package balancetest holds what every balance.Algorithm must do.
package balancetest

import (
	"fmt"
	"math"
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

// Members returns n targets without load, 192.0.2.1:80 and following, no two alike.
func Members(n int) []balance.Member {
	members := make([]balance.Member, n)
	for i := range members {
		members[i] = &Target{Name: fmt.Sprintf("192.0.%d.%d:80", 2+i/250, i%250+1)}
	}
	return members
}

// Spread picks n times from p, with another key each time, and returns how often
// each of members was picked. A member keeps what it was given: it is under way
// for as long as the test lasts.
func Spread(p balance.Picker, members []balance.Member, n int) []int {
	picked := make([]int, len(members))
	for key := range n {
		i := p.Pick(balance.Request{Key: balance.KeyOfString(fmt.Sprint("client ", key))})
		picked[i]++
		members[i].(*Target).Load.Add(1)
	}
	return picked
}

// A watched member counts how often somebody looks at it.
type watched struct {
	balance.Member
	looks *atomic.Int64
}

func (w watched) InFlight() int64 {
	w.looks.Add(1)
	return w.Member.InFlight()
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
		if i := fresh(t).Over(balance.Set{}).Pick(balance.Request{}); i != -1 {
			t.Errorf("picked %d of none, want -1", i)
		}
	})

	t.Run("everyone is used", func(t *testing.T) {
		const n = 5
		p := fresh(t).Over(balance.Set{Members: Members(n)})
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
		p := a.Over(balance.Set{Members: members})
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

	t.Run("everyone gets the share that its weight says", rapid.MakeCheck(func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "members")
		weights := make([]float64, n)
		var sum float64
		for i := range weights {
			weights[i] = float64(rapid.IntRange(1, 20).Draw(t, "weight"))
			sum += weights[i]
		}
		a, err := balance.New(name)
		if err != nil {
			t.Fatal(err)
		}
		members := Members(n)
		const times = 4_000
		picked := Spread(a.Over(balance.Set{Members: members, Weights: weights}), members, times)
		for i, got := range picked {
			// hash bounds the load, and chance is a part of some: never more than a
			// third beside it, or what chance makes of a small number.
			want := times * weights[i] / sum
			if math.Abs(float64(got)-want) > want/3+6*math.Sqrt(want) {
				t.Fatalf("member %d with weight %v of %v was picked %d times of %d, want about %.0f", i, weights[i], sum, got, times, want)
			}
		}
	}))

	t.Run("time does not grow with the number of members", func(t *testing.T) {
		// Not the time, which depends on the machine: how many members are looked at.
		const n = 10_000
		members := make([]balance.Member, n)
		var looks atomic.Int64
		for i, m := range Members(n) {
			members[i] = watched{m, &looks}
		}
		inFlight := func() int64 { return 0 }
		p := fresh(t).Over(balance.Set{Members: members, InFlight: inFlight})
		looks.Store(0)
		const times = 100
		for key := range times {
			p.Pick(balance.Request{Key: balance.Key(key + 1)})
		}
		if per := looks.Load() / times; per > 4 {
			t.Errorf("%d members were looked at for a choice among %d", per, n)
		}
	})

	t.Run("sets change under way", func(t *testing.T) {
		a := fresh(t)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for n := range 200 {
					members := Members(n % 7)
					p := a.Over(balance.Set{Members: members})
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
		for _, n := range []int{5, 500} {
			weights := make([]float64, n)
			for i := range weights {
				weights[i] = float64(1 + i)
			}
			for _, weights := range [][]float64{nil, weights} {
				p := fresh(t).Over(balance.Set{Members: Members(n), Weights: weights})
				r := balance.Request{Key: 7}
				r.Tried.Add(2)
				if n := testing.AllocsPerRun(1000, func() { p.Pick(r) }); n != 0 {
					t.Errorf("%v allocations in Pick", n)
				}
			}
		}
	})
}
