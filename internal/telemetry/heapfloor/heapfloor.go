// Package heapfloor keeps the garbage collector from running often on a small heap.
//
// By default the collector runs when the heap has doubled. A gateway's heap is
// small, a few megabytes, of which a handshake takes tens of kilobytes: a busy
// gateway collects dozens of times a second, which costs a tenth of a handshake's
// CPU time. With a floor the heap may grow to that size before the
// next collection, however little of it is in use.
//
// A heap beyond that is collected when it has grown by half, not by all. What a
// burst of handshakes leaves in use lies scattered among what it leaves behind,
// and holds the pages of both: the shorter the way between two collections, the
// fewer they are. A node with thousands of silent connections takes a tenth less
// memory for it, one with little in use is not concerned.
package heapfloor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Percent that the heap grows by between collections.
const (
	ordinary = 100 // Go's default
	beyond   = 50  // ours, beyond the floor
)

// Keep lets the heap grow to floor bytes before it is collected, from now until
// the returned function is called. A GOGC in the environment goes first: then
// nothing is done. The memory limit (GOMEMLIMIT) holds in any case.
func Keep(floor uint64) (end func()) {
	if _, set := os.LookupEnv("GOGC"); set {
		return func() {}
	}
	k := &keeper{floor: floor, percent: ordinary, found: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}}
	k.collected()
	return k.end
}

type keeper struct {
	floor uint64

	mu      sync.Mutex
	found   []metrics.Sample // by the last collection
	percent int              // in force
	ended   bool
}

// A sentinel is dropped at once, so that the next collection finds it.
type sentinel struct{ *keeper }

// collected adapts the pace to what the last collection left, and sees to it
// that the next one calls it again.
func (k *keeper) collected() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return
	}
	metrics.Read(k.found)
	live, stacks, globals := k.found[0].Value.Uint64(), k.found[1].Value.Uint64(), k.found[2].Value.Uint64()
	k.set(percent(live, stacks+globals, k.floor))
	runtime.AddCleanup(&sentinel{k}, (*keeper).collected, k)
}

func (k *keeper) end() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	k.set(ordinary)
}

// set stops the world for an instant, and is therefore not done for little.
func (k *keeper) set(p int) {
	if d := p - k.percent; p != ordinary && p != beyond && -k.percent/8 < d && d < k.percent/8 || d == 0 {
		return
	}
	k.percent = p
	debug.SetGCPercent(p)
}

// percent is the GOGC with which a heap with live bytes in use, beside roots
// bytes of stacks and globals, is collected when it has reached floor; never less
// than beyond. The runtime's rule is (see its "Guide to the Go Garbage
// Collector"): when live + (live + roots) * GOGC/100 is reached, or 4 MiB *
// GOGC/100 if that is more.
func percent(live, roots, floor uint64) int {
	const least = 4 << 20
	if live >= floor {
		return beyond
	}
	p := min((floor-live)*100/max(live+roots, 1), floor*100/least)
	return int(max(p, beyond))
}
