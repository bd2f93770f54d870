package upstream

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
)

// awaitWaiting waits until n requests wait in g.
func awaitWaiting(t testing.TB, g *Group, n int64) {
	t.Helper()
	for by := time.Now().Add(patience); g.roster.line.waiting.Load() != n; runtime.Gosched() {
		if time.Now().After(by) {
			t.Fatalf("%d wait, want %d", g.roster.line.waiting.Load(), n)
		}
	}
}

func TestATargetHasNoMoreThanMaxConnections(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80"}, MaxConnections: 2, Queue: QueueConfig{Length: -1}})["api"]
	var held []*Target
	for range 4 {
		held = append(held, pick(t, g))
	}
	count := map[*Target]int{}
	for _, tg := range held {
		count[tg]++
	}
	for tg, n := range count {
		if n != 2 {
			t.Errorf("%s has %d", tg.Address(), n)
		}
	}
	_, denial := g.Pick(Asker{})
	if denial == nil || denial.Code != countersign.TargetsBusy ||
		denial.Reason != `target group "api": each of its 2 usable targets has 2 requests (max_connections), and 0 wait already (queue.length)` {
		t.Fatalf("got %v", denial)
	}
	g.Done(held[0])
	if tg := pick(t, g); tg != held[0] {
		t.Errorf("got %s, want the one that has a free place", tg.Address())
	}
}

func TestWhoWaitsIsServedInTurn(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80"}, MaxConnections: 1, Queue: QueueConfig{Timeout: time.Hour}})["api"]
	held := pick(t, g)
	const n = 20
	turn := make(chan int, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			tg, denial := g.Pick(Asker{})
			if denial != nil {
				t.Error(denial)
				return
			}
			turn <- i
			g.Done(tg)
		})
		awaitWaiting(t, g, int64(i+1))
	}
	g.Done(held)
	wg.Wait()
	close(turn)
	var got []int
	for i := range turn {
		got = append(got, i)
	}
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("they were served as %v", got)
	}
}

func TestNobodyWaitsForEver(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80"}, MaxConnections: 1, Queue: QueueConfig{Length: 1, Timeout: 20 * time.Millisecond}})["api"]
	held := pick(t, g)
	_, denial := g.Pick(Asker{})
	if denial == nil || denial.Code != countersign.TargetsBusy || !strings.Contains(denial.Reason, "within 20ms (queue.timeout)") {
		t.Errorf("got %v", denial)
	}
	gone := make(chan struct{})
	close(gone)
	if _, denial = g.Pick(Asker{Gone: gone}); denial == nil || denial.Code != countersign.ClientClosed {
		t.Errorf("a client that went away: %v", denial)
	}
	awaitWaiting(t, g, 0)
	g.Done(held)
	if held.taken.Load() != 0 || g.roster.taken.Load() != 0 {
		t.Errorf("%d, %d places are taken when nothing is under way", held.taken.Load(), g.roster.taken.Load())
	}
}

func TestATargetThatComesServesThoseWhoWait(t *testing.T) {
	f := newFleet(t)
	config := GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80"}, MaxConnections: 1, Queue: QueueConfig{Timeout: time.Hour}}
	g := f.apply(t, config)["api"]
	first := pick(t, g)
	got := make(chan *Target, 1)
	go func() {
		tg, _ := g.Pick(Asker{})
		got <- tg
	}()
	awaitWaiting(t, g, 1)
	config.Targets = append(config.Targets, "192.0.2.2:80")
	f.apply(t, config)
	select {
	case tg := <-got:
		if tg == first {
			t.Error("it got a place that is taken")
		}
	case <-time.After(patience):
		t.Fatal("it waits though there is a place")
	}
}

func TestARetryWaitsForAnotherTarget(t *testing.T) {
	g := newFleet(t).apply(t, GroupConfig{Name: "api", Targets: []string{"192.0.2.1:80", "192.0.2.2:80"}, MaxConnections: 1, Queue: QueueConfig{Timeout: time.Hour}})["api"]
	failed, other := pick(t, g), pick(t, g)
	got := make(chan *Target, 1)
	go func() {
		tg, _ := g.Pick(Asker{}, failed)
		got <- tg
	}()
	awaitWaiting(t, g, 1)
	g.Done(failed) // which does not help
	awaitWaiting(t, g, 1)
	g.Done(other)
	if tg := <-got; tg != other {
		t.Errorf("got %v", tg)
	}
	if _, denial := g.Pick(Asker{}, failed, other); denial == nil || denial.Code != countersign.NoHealthyTarget {
		t.Errorf("when all were tried: %v", denial)
	}
}

// However many come at once, and while targets come and go, no target has more
// than it may, and no place is lost.
func TestPlacesAreCountedWell(t *testing.T) {
	f := newFleet(t)
	const limit = 3
	for _, algorithm := range []string{"round_robin", "least_outstanding_requests", "weighted_random", "hash"} {
		t.Run(algorithm, func(t *testing.T) {
			config := GroupConfig{Name: algorithm, Algorithm: algorithm, Targets: []string{"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}, MaxConnections: limit, Queue: QueueConfig{Timeout: time.Hour}}
			g := f.apply(t, config)[algorithm]
			var under sync.Map
			var wg sync.WaitGroup
			for w := range 32 {
				wg.Go(func() {
					for range 200 {
						tg, denial := g.Pick(Asker{Source: sources[w]})
						if denial != nil {
							t.Error(denial)
							return
						}
						at, _ := under.LoadOrStore(tg, new(atomic.Int64))
						if n := at.(*atomic.Int64).Add(1); n > limit {
							t.Errorf("%s has %d requests", tg.Address(), n)
						}
						runtime.Gosched()
						at.(*atomic.Int64).Add(-1)
						g.Done(tg)
					}
				})
			}
			for n := range 20 {
				next := config
				next.Targets = config.Targets[:1+n%3]
				f.apply(t, next)
			}
			wg.Wait()
			if n := g.roster.taken.Load(); n != 0 {
				t.Errorf("%d places are taken when nothing is under way", n)
			}
		})
	}
}
