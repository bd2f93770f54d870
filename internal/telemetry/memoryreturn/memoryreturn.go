// Package memoryreturn gives memory back to the operating system when the program has fallen silent.
//
// After a burst, a fleet that has connected, the heap is twice as large as what
// is in use, and stays so: nothing is allocated, so that the garbage collector
// does not run, and it is the collector that finds out what is free. So when
// little has been allocated for a while, but much since the last time, the heap
// is collected once, what is free of it given back, and with it the pages of the
// program's own file. A program that is busy is left alone, and so is one that has
// nothing to give.
package memoryreturn

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
)

const (
	every = 2 * time.Second // a look, which costs microseconds
	calm  = 3               // looks in a row that have to find little
	// little is how many bytes may be allocated between two looks by a program
	// that is silent: some ten handshakes a second.
	little = 2 << 20
	// worth is how many bytes have to be allocated since the last time, if a
	// quarter of what is in use is not more.
	worth = 8 << 20
)

// Watch gives memory back from now until the returned function is called, which
// waits until it has taken effect.
func Watch() (end func()) {
	w := &watch{found: []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			metrics.Read(w.found)
			if w.due(w.found[0].Value.Uint64(), w.found[1].Value.Uint64()) {
				runtime.GC() // what pools hold survives one collection
				debug.FreeOSMemory()
				returnImage()
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

type watch struct {
	found    []metrics.Sample
	last     uint64 // bytes allocated so far, at the last look
	returned uint64 // the same, when memory was given back
	calm     int    // looks in a row that found little
}

// due takes a look: allocated is all that ever was, live what the last
// collection found in use. It reports whether memory is to be given back.
func (w *watch) due(allocated, live uint64) bool {
	if allocated-w.last > little {
		w.calm = 0
	} else {
		w.calm++
	}
	w.last = allocated
	if w.calm < calm || allocated-w.returned < max(worth, live/4) {
		return false
	}
	w.returned = allocated
	return true
}
