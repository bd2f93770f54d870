package upstream

import "sync/atomic"

// An ending tells the holder of a connection that it was closed from elsewhere:
// its target was taken out of service. Whoever waits for the socket otherwise than
// by reading would not notice.
type ending struct {
	gone atomic.Bool
	told atomic.Pointer[func()]
}

// OnEnd has f called, on any goroutine, when the connection is closed.
func (c *Conn) OnEnd(f func()) { c.ending.told.Store(&f) }

// Gone reports whether the connection was closed because its target was taken out
// of service.
func (c *Conn) Gone() bool { return c.ending.gone.Load() }

func (e *ending) tell() {
	if f := e.told.Swap(nil); f != nil {
		(*f)()
	}
}
