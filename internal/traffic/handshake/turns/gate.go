package turns

import (
	"errors"
	"sync"
	"time"
)

// Why Take gave no turn.
var (
	ErrFull  = errors.New("too many handshakes wait already")
	ErrLate  = errors.New("the turn did not come in time")
	ErrEnded = errors.New("the wait was ended")
)

// Limits bound what a Gate lets through. They may differ from one call to the
// next, as configurations do.
type Limits struct {
	AtOnce  int // turns; 0: none is ever given
	Few     int // of which each has a turn when it likes, while no more are under way
	Waiting int // handshakes that may wait for their first one
}

// A Gate gives the turns of one listening socket. The zero value hands a turn
// over at once; NewGate makes one that does so by way of a Bell.
type Gate struct {
	bell *Bell

	mu      sync.Mutex
	atOnce  int
	few     int
	taken   int
	present int   // handshakes under way, those that wait for their clients too
	begun   queue // have had a turn
	fresh   queue
	rung    bool // the bell has yet to call us
}

// NewGate returns a Gate that rings bell; nil is no bell.
func NewGate(bell *Bell) *Gate { return &Gate{bell: bell} }

// Waiting is how many handshakes wait for a turn.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.begun.length + g.fresh.length
}

// A Place is one handshake at a Gate. It is for one goroutine.
type Place struct {
	gate   *Gate
	limits Limits
	until  time.Time       // nobody waits longer
	ended  <-chan struct{} // closed: nobody waits at all

	begun bool
	has   bool // a turn
	late  *time.Timer

	// While it waits, under the gate's lock.
	next, previous *Place
	in             *queue
	ready          chan struct{}
}

// Enter makes p a handshake at g that has no turn yet. It waits for turns until
// then at most, and never once ended is closed.
func (p *Place) Enter(g *Gate, l Limits, until time.Time, ended <-chan struct{}) {
	*p = Place{gate: g, limits: l, until: until, ended: ended}
	g.mu.Lock()
	g.present++
	g.mu.Unlock()
}

// Take waits for a turn, unless p has one.
func (p *Place) Take() error {
	if p.has {
		return nil
	}
	g := p.gate
	g.mu.Lock()
	g.atOnce, g.few = p.limits.AtOnce, p.limits.Few
	if g.free() && g.begun.length+g.fresh.length == 0 {
		g.taken++
		g.mu.Unlock()
		p.has, p.begun = true, true
		return nil
	}
	q := &g.fresh
	if p.begun {
		q = &g.begun // it is counted in what it waits for
	} else if q.length >= p.limits.Waiting {
		g.mu.Unlock()
		return ErrFull
	}
	if p.ready == nil {
		p.ready = make(chan struct{}, 1)
	}
	q.push(p)
	g.ring() // the limit may be a higher one now
	g.mu.Unlock()
	return p.wait()
}

func (p *Place) wait() error {
	if p.late == nil {
		p.late = time.NewTimer(time.Until(p.until))
	}
	var err error
	select {
	case <-p.ready:
	case <-p.late.C:
		err = ErrLate
	case <-p.ended:
		err = ErrEnded
	}
	if err != nil && p.leave() {
		return err
	}
	p.has, p.begun = true, true
	return nil
}

// leave gives up waiting; false: the turn has come meanwhile.
func (p *Place) leave() bool {
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	if p.in == nil {
		<-p.ready
		return false
	}
	p.in.remove(p)
	return true
}

// Give gives the turn back, if p has one.
func (p *Place) Give() {
	if !p.has {
		return
	}
	p.has = false
	g := p.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	g.ring()
}

// Leave gives back whatever p holds. Only Enter makes p of use again.
func (p *Place) Leave() {
	p.Give()
	if p.late != nil {
		p.late.Stop()
	}
	p.gate.mu.Lock()
	p.gate.present--
	p.gate.ring()
	p.gate.mu.Unlock()
	*p = Place{}
}

// free reports whether there is a turn to be given.
func (g *Gate) free() bool { return g.taken < g.atOnce || g.present <= g.few }

// ring sees to it that free turns are given to those who wait.
func (g *Gate) ring() {
	switch {
	case !g.free() || g.begun.length+g.fresh.length == 0:
	case g.bell == nil:
		g.call()
	case !g.rung:
		g.rung = true
		g.bell.ring(g)
	}
}

// answer is called by the bell.
func (g *Gate) answer() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rung = false
	g.call()
}

// call gives the free turns to those who wait, who have begun before who have not.
func (g *Gate) call() {
	for ; g.free(); g.taken++ {
		q := &g.begun
		if q.length == 0 {
			q = &g.fresh
		}
		if q.length == 0 {
			return
		}
		p := q.first
		q.remove(p)
		p.ready <- struct{}{}
	}
}

// A queue is a list of those who wait, in their order.
type queue struct {
	first, last *Place
	length      int
}

func (q *queue) push(p *Place) {
	p.in, p.previous, p.next = q, q.last, nil
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
	q.length++
}

func (q *queue) remove(p *Place) {
	if p.previous == nil {
		q.first = p.next
	} else {
		p.previous.next = p.next
	}
	if p.next == nil {
		q.last = p.previous
	} else {
		p.next.previous = p.previous
	}
	p.in, p.previous, p.next = nil, nil, nil
	q.length--
}
