//go:build !386 && !s390x

package socket

import (
	"os"
	"sync"
	"time"
)

// Descriptors are closed a few milliseconds after their sockets were shut down,
// those of all that have ended meanwhile together: os.File announces each close,
// and so the watchman is woken once for all of them.
const (
	together = 128 // are not waited with any longer
	soon     = 5 * time.Millisecond
)

// closings are all that is to be closed in this process.
var closings closing

type closing struct {
	mu      sync.Mutex
	waiting []*os.File
}

// add closes f soon.
func (c *closing) add(f *os.File) {
	c.mu.Lock()
	c.waiting = append(c.waiting, f)
	n := len(c.waiting)
	c.mu.Unlock()
	switch n {
	case 1:
		time.AfterFunc(soon, c.now)
	case together:
		c.now()
	}
}

// now closes what has come together.
func (c *closing) now() {
	c.mu.Lock()
	files := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, f := range files {
		f.Close()
	}
}
