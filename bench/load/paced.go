package load

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A paced job sends requests on open connections at a fixed rate, whether or not
// earlier ones have been answered. A request's latency counts from the instant
// at which it was due: one that had to wait, because the server was still busy
// with the one before it, has waited for the server. (Counting from when it was
// sent would omit what a stalled server does to all who come meanwhile.)
type paced struct{ *keepAlive }

func beginPaced(s Spec) (job, error) {
	if s.Rate <= 0 {
		return nil, fmt.Errorf("a rate of %v requests a second: want more than 0", s.Rate)
	}
	// One more than there are CPUs, for the goroutine that sleeps in a system call.
	runtime.GOMAXPROCS(runtime.NumCPU() + 1)
	k, err := connect(s)
	return paced{k}, err
}

func (p paced) do() Result {
	n := len(p.work)
	interval := time.Duration(float64(time.Second) / p.spec.Rate)
	total := int(p.spec.Duration / interval)
	due := make([]chan time.Time, n)
	for i := range due {
		due[i] = make(chan time.Time, total/n+1) // never full: the pace waits for nobody
	}
	start := time.Now().Add(time.Millisecond)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for i := range total {
			at := start.Add(time.Duration(i) * interval)
			sleepUntil(at)
			due[i%n] <- at
		}
		for _, d := range due {
			close(d)
		}
	}()
	return together(n, start, func(i int, t *tally) {
		for at := range due[i] {
			if t.err = p.work[i](); t.err != nil {
				return
			}
			t.last = time.Now()
			t.latencies.record(t.last.Sub(at))
			t.done++
		}
	})
}

// sleepUntil waits more exactly than time.Sleep, whose idle runtime waits in
// whole milliseconds.
func sleepUntil(at time.Time) {
	for {
		left := time.Until(at)
		if left <= 0 {
			return
		}
		tv := unix.NsecToTimeval(left.Nanoseconds())
		unix.Select(0, nil, nil, nil, &tv) // a signal may end it early
	}
}
