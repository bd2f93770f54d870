package background

import "time"

// Work goes on for a slice, and then traffic goes first for the time of a pause.
// The Go scheduler looks at the network when it has nothing else to run, or has
// not looked for ten milliseconds: a goroutine that merely yields is something to
// run, and one that does not is interrupted after ten milliseconds. Where nothing
// else runs a pause takes a millisecond, which is what the scheduler sleeps at
// least.
const (
	slice = time.Millisecond
	pause = time.Millisecond

	urgentSlice = 2 * time.Millisecond
	urgentPause = 50 * time.Microsecond
)

// Work is what one goroutine does at a time. The zero value takes half of a
// processor at most, and begins with its first call of Pause.
type Work struct {
	Urgent bool // it takes more, if there is no traffic

	began time.Time
}

// Pause pauses if it is time to, and reports whether it was. It is to be called
// again and again, once for some microseconds of work.
func (w *Work) Pause() bool {
	slice, pause := slice, pause
	if w.Urgent {
		slice, pause = urgentSlice, urgentPause
	}
	switch now := time.Now(); {
	case w.began.IsZero():
		w.began = now
	case now.Sub(w.began) > slice:
		time.Sleep(pause)
		w.began = time.Now()
		return true
	}
	return false
}
