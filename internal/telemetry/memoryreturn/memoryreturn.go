// Package memoryreturn gives memory back to the operating system when the program has fallen silent.
//
// After a burst, a fleet that has connected, the heap is twice as large as what
// is in use, and stays so: nothing is allocated, so that the garbage collector
// does not run, and it is the collector that finds out what is free. So when
// little has been done and allocated for a while, but much allocated since the
// last time, the heap is collected once, what is free of it given back, and with
// it the pages of the program's own file. A program that is busy is left alone, even
// if it allocates nothing, as one does that forwards requests on connections that
// are kept; and so is one that has nothing to give.
package memoryreturn

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	every = 2 * time.Second // a look, which costs microseconds
	calm  = 3               // looks in a row that have to find little
	// little is how many bytes may be allocated between two looks by a program
	// that is silent: some ten handshakes a second.
	little = 2 << 20
	// effort is how long a silent program may work between two looks: a twentieth
	// of one CPU.
	effort = every / 20
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
			if w.due(look{w.found[0].Value.Uint64(), w.found[1].Value.Uint64(), worked()}) {
				runtime.GC() // what pools hold survives one collection
				debug.FreeOSMemory()
				returnImage()
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// A look is what was found at one moment.
type look struct {
	allocated uint64        // bytes, all that ever were
	live      uint64        // bytes that the last collection found in use
	worked    time.Duration // CPU time
}

type watch struct {
	found    []metrics.Sample
	last     look
	returned uint64 // bytes allocated when memory was given back
	calm     int    // looks in a row that found little
}

// due takes a look, and reports whether memory is to be given back.
func (w *watch) due(l look) bool {
	if l.allocated-w.last.allocated > little || l.worked-w.last.worked > effort {
		w.calm = 0
	} else {
		w.calm++
	}
	w.last = l
	if w.calm < calm || l.allocated-w.returned < max(worth, l.live/4) {
		return false
	}
	w.returned = l.allocated
	return true
}

// worked is the CPU time that the process has taken.
func worked() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
