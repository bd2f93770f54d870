package upstream

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
