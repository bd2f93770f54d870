package stream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/listen/parking"
	"countersign.dev/internal/traffic/socket"
	"countersign.dev/internal/wire/tlsname"
)

// Config is what a Pipe is made from.
type Config struct {
	Client   Conn
	Socket   socket.Conn // beneath Client
	Settings *Settings
	Accepted time.Time     // when the client came: its lifetime counts from then
	Grace    time.Duration // what is left of the lifetime after Interrupt
	Silence  time.Duration // after which a direction is parked
	Lot      *parking.Lot  // nil: silent directions keep their goroutines
	// Guard runs a part of the work and reports whether it went through without a
	// fault in this program.
	Guard func(part func()) bool
	// Moved is told how many bytes came from the client and went to it since it was
	// told last: every Silence while there are some, and before Done. What is in the
	// Result by then is Action.
	Moved func(r *Result, received, sent int64)
	// Done is called once, when nothing is left of the connection.
	Done func(*Result)
}

// A Pipe is a client's connection that carries bytes. Refuse, or Forward, is
// called once; the other methods may be called from any goroutine.
type Pipe struct {
	cfg      Config
	set      *Settings
	client   side
	target   side
	up, down half

	ending  atomic.Pointer[ending]
	closing atomic.Bool
	moved   atomic.Int64 // UnixNano of the last byte in either direction
	until   atomic.Int64 // UnixNano at which the connection has to be over; 0: never
	left    atomic.Int32 // directions that are not over yet

	mu       sync.Mutex
	attached bool               // target is there
	cancel   context.CancelFunc // of connecting to it; nil: that is not under way

	conn   *pool.Conn
	to     *upstream.Target // at its other end
	result Result
}

// New returns a Pipe for the client's connection, which belongs to it from now on.
func New(c Config) *Pipe {
	p := &Pipe{cfg: c, set: c.Settings}
	p.result.Alert = -1
	p.client.init(c.Client, c.Socket)
	p.up = half{pipe: p, from: &p.client, to: &p.target, other: &p.down}
	p.down = half{pipe: p, from: &p.target, to: &p.client, other: &p.up}
	if p.set.Lifetime > 0 {
		p.until.Store(c.Accepted.Add(p.set.Lifetime).UnixNano())
	}
	return p
}

// An End is how a connection ended.
type End string

// The ends of a connection, as the access log names them.
const (
	Finished    End = "finished"     // both parties said that they are through
	ClientBroke End = "client_reset" // the client broke off
	TargetBroke End = "target_reset" // the target broke off
	Idle        End = "idle_timeout" // timeouts.idle
	Lifetime    End = "lifetime"     // timeouts.lifetime, or what shutdown_timeout has left of it
	Refused     End = "refused"      // with the Denial
	Expelled    End = "expelled"     // with the Denial: the client is not accepted any more
	Deregister  End = "deregistered" // the target was taken out of service, and its delay is over
	Unhealthy   End = "unhealthy"    // the target turned unhealthy
	Cut         End = "cut"          // at the end of shutdown_timeout
	Faulty      End = "fault"        // in this program
)

// terminated is how a connection ended whose target broke off, or seemed to.
var terminated = [...]End{pool.NotTerminated: TargetBroke, pool.Deregistered: Deregister, pool.Unhealthy: Unhealthy}

// resets reports whether the parties are told that something is missing.
func (e End) resets() bool {
	switch e {
	case ClientBroke, TargetBroke, Deregister, Unhealthy, Cut, Faulty:
		return true
	}
	return false
}

// An ending is why everything stops.
type ending struct {
	how    End
	denial *countersign.Denial
	resets bool
	alert  int // of the client, if it broke off
}

// stop ends both directions, for that reason unless there is one already.
func (p *Pipe) stop(e *ending) {
	e.resets = e.resets || e.how.resets()
	if !p.ending.CompareAndSwap(nil, e) {
		return
	}
	p.mu.Lock()
	if p.cancel != nil {
		p.cancel()
	}
	p.client.wake()
	if p.attached {
		p.target.wake()
	}
	p.mu.Unlock()
	p.up.call()
	p.down.call()
}

// over ends the pipe if its time is over, and reports whether it is ending.
func (p *Pipe) over(now time.Time) bool {
	if p.ending.Load() != nil {
		return true
	}
	at := now.UnixNano()
	switch until := p.until.Load(); {
	case until != 0 && at >= until:
		p.stop(&ending{how: Lifetime})
	case at-p.moved.Load() >= int64(p.set.Idle) && !p.takes(now):
		p.stop(&ending{how: Idle, resets: p.set.ResetIdle})
	default:
		return false
	}
	return true
}

// takes looks whether a party has been taking what was written to it: then bytes
// have moved, however slowly, that no read tells of, and the pipe is not idle yet.
// A party that is only sent the same again takes nothing.
func (p *Pipe) takes(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range [...]*side{&p.client, &p.target} {
		acked, ago := taken(s.socket)
		if acked == s.acked || p.ending.Load() != nil {
			continue
		}
		s.acked = acked
		if last := now.Add(-ago).UnixNano(); last > p.moved.Load() {
			p.moved.Store(last)
			s.socket.SetWriteDeadline(now.Add(2 * p.set.Idle)) // later than writeBy knows
		}
	}
	return now.UnixNano()-p.moved.Load() < int64(p.set.Idle)
}

// deadline is when over will be true if nothing happens.
func (p *Pipe) deadline() time.Time {
	at := p.moved.Load() + int64(p.set.Idle)
	if until := p.until.Load(); until != 0 {
		at = min(at, until)
	}
	return time.Unix(0, at)
}

// patience is how long a direction waits before it looks around, and how long the
// kernel may splice before it is noted that bytes move.
func (p *Pipe) patience() time.Duration { return min(p.cfg.Silence, p.set.Idle/2) }

// failed ends the pipe because one side broke off: that which h writes to, or else
// that which it reads from.
func (p *Pipe) failed(h *half, err error, writing bool) {
	if p.ending.Load() != nil {
		return
	}
	broken := h.from
	if writing {
		broken = h.to
		p.mu.Lock()
		through := h.other.ended
		p.mu.Unlock()
		if through { // it has said all it had to say, and does not listen
			p.stop(&ending{how: Finished})
			return
		}
	}
	if timedOut(err) { // a write that nobody took
		p.stop(&ending{how: Idle, resets: true})
		return
	}
	e := &ending{how: ClientBroke, alert: -1}
	if broken == &p.client {
		e.alert = tlsname.Alert(err)
	} else {
		e.how = terminated[p.conn.Terminated()]
	}
	p.stop(e)
}

// passOn passes on that a direction has come to its end. A client who is through
// himself is told by leaving him.
func (p *Pipe) passOn(h *half) {
	p.mu.Lock()
	both := h.other.ended
	p.mu.Unlock()
	if !both || h.to != &p.client {
		h.to.closeWrite()
	}
	p.mu.Lock()
	h.ended = true
	p.mu.Unlock()
}

// leave is called by each direction that is over. The last one says goodbye.
func (p *Pipe) leave() {
	if p.left.Add(-1) == 0 {
		p.finish()
	}
}

// finish closes what is open and tells the result.
func (p *Pipe) finish() {
	r := &p.result
	r.End = Finished
	e := p.ending.Load()
	if e != nil {
		if r.End = e.how; e.how == ClientBroke {
			r.Alert = e.alert
		}
		if r.Denial == nil {
			r.Denial = e.denial
		}
	}
	r.Received, r.Sent = p.up.bytes, p.down.bytes
	p.up.tell()
	p.down.tell()
	resets := e != nil && e.resets
	if p.conn != nil {
		if resets {
			p.target.reset()
		}
		p.release()
	}
	switch {
	case resets:
		p.client.reset()
	case p.up.ended && p.down.ended:
		p.client.leave()
	default:
		p.client.farewell(p.down.ended)
	}
	p.cfg.Done(r)
}

// Target returns where the bytes go: the names of the target group and of the
// target; "": nowhere yet.
func (p *Pipe) Target() (group, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.attached {
		return "", ""
	}
	return p.result.Action.Forward.Name(), p.to.Address()
}

// Interrupt leaves the connection a moment to come to its end by itself, Config.Grace.
func (p *Pipe) Interrupt() {
	if p.closing.Swap(true) {
		return
	}
	at := time.Now().Add(p.cfg.Grace).UnixNano()
	for {
		was := p.until.Load()
		if was != 0 && was <= at {
			return
		}
		if p.until.CompareAndSwap(was, at) {
			break
		}
	}
	p.up.call()
	p.down.call()
}

// Closing reports that Interrupt was called.
func (p *Pipe) Closing() bool { return p.closing.Load() }

// Expel ends the connection, because its client is not accepted any more.
func (p *Pipe) Expel(why *countersign.Denial) { p.stop(&ending{how: Expelled, denial: why}) }

// Reset ends the connection at once, without a goodbye.
func (p *Pipe) Reset(why *countersign.Denial) {
	p.stop(&ending{how: Expelled, denial: why, resets: true})
	p.client.reset() // whatever is under way
}

// Cut ends the connection at once.
func (p *Pipe) Cut() {
	p.stop(&ending{how: Cut})
	p.client.reset()
}
