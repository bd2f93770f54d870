package pool

import "sync/atomic"

// An ending tells the holder of a connection that others have closed it. Whoever
// waits for the socket otherwise than by reading would not notice.
type ending struct {
	why  atomic.Int32 // a Terminated
	told atomic.Pointer[func()]
}

// OnEnd has f called, on any goroutine, when the connection is closed.
func (c *Conn) OnEnd(f func()) { c.ending.told.Store(&f) }

func (e *ending) tell() {
	if f := e.told.Swap(nil); f != nil {
		(*f)()
	}
}

// Terminated is why a connection in use was closed by others than its holder.
type Terminated int32

// The reasons.
const (
	NotTerminated Terminated = iota
	Deregistered
	Unhealthy
)

// Terminated says why the connection was closed, if that was not its holder's doing.
func (c *Conn) Terminated() Terminated { return Terminated(c.ending.why.Load()) }

// Terminate closes all connections in use, because the target is unhealthy, and
// returns how many there were.
func (p *Pool) Terminate() int {
	p.mu.Lock()
	var used []*Conn
	for c := range p.open {
		if c.held {
			used = append(used, c)
		}
	}
	p.mu.Unlock()
	for _, c := range used { // each is forgotten when it is released
		c.ending.why.Store(int32(Unhealthy))
		c.shut()
	}
	return len(used)
}
