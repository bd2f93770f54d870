package live

import (
	"cmp"
	"runtime"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/background"
)

// Config is what an Enforcer needs.
type Config struct {
	Registry *Registry
	// Ended is told of every connection that is about to end because its client is
	// no longer accepted. One call at a time for a connection, in all one.
	Ended func(c Conn, why *countersign.Denial)
	// Told is called when some of those have had their time of grace; last: there
	// is nobody else. nil: nobody wants to know.
	Told func(last bool)
	// Grace is how long what is under way may go on. 0: a second.
	Grace time.Duration
}

// An Enforcer asks suspects and ends the connections of those who are refused.
// It works in the background, on few goroutines, and lets traffic go first.
type Enforcer struct {
	Config
	most int // workers

	mu      sync.Mutex
	tasks   []func() // a stack: it does not matter which comes first
	workers int
	cuts    []cut // in the order of their time
	closed  bool

	stirred chan struct{} // there is another cut
	done    chan struct{} // closed by Close
	running sync.WaitGroup
}

// A cut is for the one that does not end by itself.
type cut struct {
	conn Conn
	why  *countersign.Denial
	at   time.Time
}

// NewEnforcer starts an Enforcer. Close ends it.
func NewEnforcer(cfg Config) *Enforcer {
	cfg.Grace = cmp.Or(cfg.Grace, time.Second)
	f := &Enforcer{Config: cfg, most: max(runtime.GOMAXPROCS(0), 1), stirred: make(chan struct{}, 1), done: make(chan struct{})}
	f.running.Go(f.keepTime)
	return f
}

// Close stops asking, cuts nobody any more, and waits for what is under way.
func (f *Enforcer) Close() {
	f.mu.Lock()
	if !f.closed {
		close(f.done)
	}
	f.closed, f.tasks, f.cuts = true, nil, nil
	f.mu.Unlock()
	f.running.Wait()
	if f.Told != nil {
		f.Told(true)
	}
}

// Suspect has the connections that find returns asked. Find is called in the
// background, once.
func (f *Enforcer) Suspect(find func() []*Entry) {
	f.do(func() { f.ask(find()) })
}

// Refused ends the connection of a client that was found, by others, not to be
// accepted any more. It does nothing for one that is ending already. The caller
// may hold locks of the connection's.
func (f *Enforcer) Refused(e *Entry, why *countersign.Denial) {
	conn := f.Registry.conn(e)
	if !f.Registry.Remove(e) {
		return
	}
	f.do(func() { f.end(conn, why) })
}

// end is called once for a connection.
func (f *Enforcer) end(c Conn, why *countersign.Denial) {
	f.Ended(c, why)
	c.Expel(why)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.cuts = append(f.cuts, cut{c, why, time.Now().Add(f.Grace)})
	if len(f.cuts) == 1 {
		select {
		case f.stirred <- struct{}{}:
		default:
		}
	}
}

// ask asks suspects, sharing them out among the workers.
func (f *Enforcer) ask(suspects []*Entry) {
	const share = 256
	for len(suspects) > share {
		some := suspects[:share]
		suspects = suspects[share:]
		f.do(func() { f.ask(some) })
	}
	work := background.Work{Urgent: true}
	for _, e := range suspects {
		if work.Pause() && f.over() {
			return
		}
		conn := f.Registry.conn(e)
		if conn == nil {
			continue // it has ended
		}
		if why := conn.Accepted(); why != nil && f.Registry.Remove(e) {
			f.end(conn, why)
		}
	}
}

func (f *Enforcer) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// do has a task done in the background.
func (f *Enforcer) do(task func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.tasks = append(f.tasks, task)
	if f.workers < f.most {
		f.workers++
		f.running.Go(f.work)
	}
}

// work does tasks until there is none.
func (f *Enforcer) work() {
	for {
		f.mu.Lock()
		last := len(f.tasks) - 1
		if last < 0 {
			f.workers--
			f.tasks = nil
			f.mu.Unlock()
			return
		}
		task := f.tasks[last]
		f.tasks[last] = nil
		f.tasks = f.tasks[:last]
		f.mu.Unlock()
		task()
	}
}

// mostUnseen bounds the wait for a deadline: the clock may be set, and a machine
// that slept has not counted the time.
const mostUnseen = 10 * time.Second

// again is after how long somebody is asked again who was due and stays so.
const again = time.Second

// together is what cuts may be late, so that many are made at a time.
const together = 10 * time.Millisecond

// keepTime has those asked whose time is over, and cuts what does not end.
func (f *Enforcer) keepTime() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		due, next := f.Registry.Due(nil, now, again)
		if len(due) > 0 {
			f.Suspect(func() []*Entry { return due })
		}
		wait := mostUnseen
		if next.IsZero() {
			wait = time.Hour // nobody is there
		} else {
			wait = min(wait, next.Sub(now)+time.Nanosecond)
		}
		if at := f.cut(now); !at.IsZero() {
			wait = min(wait, max(at.Sub(now), together))
		}
		timer.Reset(max(wait, 0))
		select {
		case <-f.done:
			return
		case <-timer.C:
		case <-f.stirred:
		case <-f.Registry.sooner:
		}
	}
}

// cut cuts those whose time of grace is over, and returns when the next one's is.
func (f *Enforcer) cut(now time.Time) time.Time {
	f.mu.Lock()
	n := 0
	for n < len(f.cuts) && !now.Before(f.cuts[n].at) {
		n++
	}
	over := f.cuts[:n:n]
	if f.cuts = f.cuts[n:]; len(f.cuts) == 0 {
		f.cuts = nil
	}
	var next time.Time
	if len(f.cuts) > 0 {
		next = f.cuts[0].at
	}
	f.mu.Unlock()
	for _, c := range over {
		c.conn.Cut(c.why)
	}
	if n > 0 && f.Told != nil {
		f.Told(next.IsZero())
	}
	return next
}
