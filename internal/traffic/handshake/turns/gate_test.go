package turns

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gates runs test with a gate that rings a bell, and with one that does not.
func gates(t *testing.T, test func(*testing.T, *Gate)) {
	t.Run("at once", func(t *testing.T) { test(t, new(Gate)) })
	t.Run("by a bell", func(t *testing.T) {
		b, err := NewBell()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		test(t, NewGate(b))
	})
}

func enter(g *Gate, l Limits) *Place {
	p := new(Place)
	p.Enter(g, l, time.Now().Add(time.Minute), nil)
	return p
}

// waits takes a turn for p on a goroutine, and returns when it is in the queue.
func waits(t *testing.T, g *Gate, p *Place) (taken chan error) {
	t.Helper()
	before := g.Waiting()
	taken = make(chan error, 1)
	go func() { taken <- p.Take() }()
	for end := time.Now().Add(20 * time.Second); g.Waiting() == before; time.Sleep(10 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("it does not wait")
		}
	}
	return taken
}

func TestNoMoreThanTheLimitHaveATurnAndEveryoneGetsOne(t *testing.T) {
	gates(t, func(t *testing.T, g *Gate) {
		const limit, handshakes, flights = 3, 100, 4
		var running sync.WaitGroup
		var now, most atomic.Int64
		for range handshakes {
			running.Go(func() {
				p := enter(g, Limits{AtOnce: limit, Waiting: handshakes})
				defer p.Leave()
				for range flights {
					if err := p.Take(); err != nil {
						t.Error(err)
						return
					}
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					time.Sleep(time.Microsecond)
					now.Add(-1)
					p.Give()
				}
			})
		}
		running.Wait()
		if most.Load() > limit || g.Waiting() != 0 || g.taken != 0 {
			t.Errorf("%d had a turn at a time; at the end %d wait and %d have one", most.Load(), g.Waiting(), g.taken)
		}
	})
}

func TestWhoHasBegunGoesFirstAndOthersInTheirOrder(t *testing.T) {
	gates(t, func(t *testing.T, g *Gate) {
		l := Limits{AtOnce: 1, Waiting: 10}
		begun, holder, first, second := enter(g, l), enter(g, l), enter(g, l), enter(g, l)
		for _, p := range []*Place{begun, holder} { // one after the other
			if err := p.Take(); err != nil {
				t.Fatal(err)
			}
			if p == begun {
				p.Give()
			}
		}
		firstTaken := waits(t, g, first)
		secondTaken := waits(t, g, second)
		begunTaken := waits(t, g, begun)
		for _, step := range []struct {
			gives *Place
			next  chan error
			later []chan error
		}{
			{holder, begunTaken, []chan error{firstTaken, secondTaken}},
			{begun, firstTaken, []chan error{secondTaken}},
			{first, secondTaken, nil},
		} {
			step.gives.Give()
			if err := <-step.next; err != nil {
				t.Fatal(err)
			}
			for _, c := range step.later {
				select {
				case <-c:
					t.Fatal("one that came later has a turn too")
				default:
				}
			}
		}
		second.Leave()
	})
}

func TestTooManyAreNotWaitedFor(t *testing.T) {
	gates(t, func(t *testing.T, g *Gate) {
		l := Limits{AtOnce: 1, Waiting: 1}
		holder, begun, waiting := enter(g, l), enter(g, l), enter(g, l)
		if err := begun.Take(); err != nil {
			t.Fatal(err)
		}
		begun.Give()
		if err := holder.Take(); err != nil {
			t.Fatal(err)
		}
		taken := waits(t, g, waiting)
		if err := enter(g, l).Take(); !errors.Is(err, ErrFull) {
			t.Errorf("one too many: %v", err)
		}
		again := waits(t, g, begun) // is not refused: what it has done would be lost
		holder.Leave()
		if err := <-again; err != nil {
			t.Error(err)
		}
		begun.Leave()
		if err := <-taken; err != nil {
			t.Error(err)
		}
		waiting.Leave()
	})
}

func TestAWaitEndsWithItsTimeOrWhenItIsEnded(t *testing.T) {
	gates(t, func(t *testing.T, g *Gate) {
		l := Limits{AtOnce: 1, Waiting: 10}
		holder := enter(g, l)
		if err := holder.Take(); err != nil {
			t.Fatal(err)
		}
		late := new(Place)
		late.Enter(g, l, time.Now().Add(time.Millisecond), nil)
		if err := late.Take(); !errors.Is(err, ErrLate) {
			t.Errorf("at the end of its time: %v", err)
		}
		over := make(chan struct{})
		ended := new(Place)
		ended.Enter(g, l, time.Now().Add(time.Minute), over)
		taken := waits(t, g, ended)
		close(over)
		if err := <-taken; !errors.Is(err, ErrEnded) {
			t.Errorf("ended: %v", err)
		}
		if n := g.Waiting(); n != 0 {
			t.Errorf("%d wait still", n)
		}
		holder.Leave()
		if next := enter(g, l); next.Take() != nil || next.Take() != nil {
			t.Error("the turn is lost")
		}
	})
}

// A reload may raise the limit while everyone waits.
func TestAHigherLimitLetsOthersIn(t *testing.T) {
	gates(t, func(t *testing.T, g *Gate) {
		low, high := Limits{AtOnce: 1, Waiting: 10}, Limits{AtOnce: 3, Waiting: 10}
		holder := enter(g, low)
		if err := holder.Take(); err != nil {
			t.Fatal(err)
		}
		waiting := enter(g, low)
		taken := waits(t, g, waiting)
		next := enter(g, high)
		if err := next.Take(); err != nil {
			t.Fatal(err)
		}
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		for _, p := range []*Place{holder, waiting, next} {
			p.Leave()
		}
	})
}

// A few have turns as they come; when there are more of them, only as many as the
// limit says, those that wait for their clients counted.
func TestAFewNeedNotWait(t *testing.T) {
	gates(t, func(t *testing.T, g *Gate) {
		l := Limits{AtOnce: 1, Few: 3, Waiting: 10}
		few := []*Place{enter(g, l), enter(g, l), enter(g, l)}
		for _, p := range few {
			if err := p.Take(); err != nil {
				t.Fatal(err)
			}
		}
		few[2].Give() // and waits for its client
		fourth, fifth := enter(g, l), enter(g, l)
		fourthTaken := waits(t, g, fourth)
		fifthTaken := waits(t, g, fifth)
		few[0].Give() // one of five has a turn, as many as the limit says
		for _, taken := range []chan error{fourthTaken, fifthTaken} {
			select {
			case <-taken:
				t.Fatal("a turn was given though one was taken")
			default:
			}
		}
		few[0].Leave()
		few[2].Leave() // three are left, of which one has a turn
		for _, taken := range []chan error{fourthTaken, fifthTaken} {
			if err := <-taken; err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range []*Place{few[1], fourth, fifth} {
			p.Leave()
		}
		if g.present != 0 || g.taken != 0 {
			t.Errorf("at the end %d are under way, %d have a turn", g.present, g.taken)
		}
	})
}
