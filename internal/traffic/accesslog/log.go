package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Format is how a line looks; its values are the words of the configuration.
type Format string

const (
	AWS      Format = "aws"      // 15 or 34 fields, the default
	JSON     Format = "json"     // one object a line
	Combined Format = "combined" // Apache's; a connection, which has no line there, is written as in aws
)

// Config says where a Log writes, and how.
type Config struct {
	Path   string       // a file, created if need be and appended to; "-" is Stdout
	Format Format       // "" is AWS
	Queue  int          // events that may wait to be written; 0: 16384
	Logger *slog.Logger // told of write errors, at most once a minute; nil: slog.Default()
	Stdout io.Writer    // nil: os.Stdout
}

const (
	defaultQueue = 16384
	// After it has written, the owner lets events pile up for this long, so that
	// a busy log costs a few wake-ups and writes a second instead of one per
	// event, and a quiet one still shows a line at once.
	pause     = 20 * time.Millisecond
	batchSize = 64 << 10
)

// A Log takes events and writes them as lines. It is safe for concurrent use.
// A nil *Log is a log that is off: every method does nothing.
type Log struct {
	format Format
	out    *output
	pool   sync.Pool // of *Access

	queue  chan event
	hurry  chan struct{} // the queue is half full
	reopen chan chan error
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once

	closed  atomic.Bool
	dropped atomic.Uint64
}

// An event is a *Connection or an *Access.
type event any

// Open opens a log and starts its owner, which Close ends.
func Open(c Config) (*Log, error) {
	switch c.Format {
	case AWS, JSON, Combined:
	case "":
		c.Format = AWS
	default:
		return nil, fmt.Errorf("log format %q: want aws, json or combined", c.Format)
	}
	if c.Queue < 0 {
		return nil, fmt.Errorf("log queue %d: want a number of events, or 0 for %d", c.Queue, defaultQueue)
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Stdout == nil {
		c.Stdout = os.Stdout
	}
	out, err := openOutput(c.Path, c.Stdout, c.Logger)
	if err != nil {
		return nil, err
	}
	l := &Log{
		format: c.Format,
		out:    out,
		pool:   sync.Pool{New: newAccess},
		queue:  make(chan event, c.Queue),
		hurry:  make(chan struct{}, 1),
		reopen: make(chan chan error),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go l.own()
	return l, nil
}

// Connection queues the event of a connection. The log reads c later: it must
// not be changed any more.
func (l *Log) Connection(c *Connection) {
	if l != nil && c != nil && !l.offer(c) {
		l.dropped.Add(1)
	}
}

// Begin returns an event for an exchange on c, or nil when the log is off. It
// must be handed to Commit.
func (l *Log) Begin(c *Connection) *Access {
	if l == nil {
		return nil
	}
	if c == nil {
		c = new(Connection)
	}
	a := l.pool.Get().(*Access)
	a.Connection = c
	return a
}

// Commit queues what Begin returned, never waiting: when the queue is full, the
// event is dropped and counted.
func (l *Log) Commit(a *Access) {
	if l == nil || a == nil {
		return
	}
	if a.Time.IsZero() {
		a.Time = time.Now()
	}
	if !l.offer(a) {
		l.dropped.Add(1)
		l.release(a)
	}
}

func (l *Log) offer(ev event) bool {
	if l.closed.Load() {
		return false
	}
	select {
	case l.queue <- ev:
	default:
		return false
	}
	if len(l.queue) > cap(l.queue)/2 {
		select {
		case l.hurry <- struct{}{}:
		default:
		}
	}
	return true
}

func (l *Log) release(a *Access) {
	a.reset()
	l.pool.Put(a)
}

// Dropped counts the events that were lost: the queue was full, the log closed,
// or their line could not be written.
func (l *Log) Dropped() uint64 {
	if l == nil {
		return 0
	}
	return l.dropped.Load() + l.out.lost.Load()
}

// WriteErrors counts failed writes.
func (l *Log) WriteErrors() uint64 {
	if l == nil {
		return 0
	}
	return l.out.errors.Load()
}

// Reopen opens the file anew by its name, for a rotation that has renamed it,
// and returns when events queued from now on go to the new file. On an error
// the old file stays in use. Standard output is left alone.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case l.reopen <- answer:
		return <-answer
	case <-l.done:
		return fmt.Errorf("the log %s is closed", l.out.path)
	}
}

// Close writes what is queued and closes the file. Events that come later are
// dropped. It returns early with ctx's error when the output does not take the
// lines in time.
func (l *Log) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	l.closed.Store(true)
	l.once.Do(func() { close(l.stop) })
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("log %s: %d events not written: %w", l.out.path, len(l.queue), ctx.Err())
	}
}

// own is the one goroutine that formats and writes.
func (l *Log) own() {
	defer close(l.done)
	w := writer{log: l}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case ev := <-l.queue:
			w.add(ev)
			w.drain()
		case answer := <-l.reopen:
			answer <- w.reopen()
			continue
		case <-l.stop:
			w.finish()
			return
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-l.hurry:
		case answer := <-l.reopen:
			answer <- w.reopen()
		case <-l.stop:
			w.finish()
			return
		}
	}
}

// A writer is what only the owner touches.
type writer struct {
	log   *Log
	clock clock
	buf   []byte
	lines uint64
}

// add formats one event and gives its memory back.
func (w *writer) add(ev event) {
	switch ev := ev.(type) {
	case *Connection:
		if w.log.format == JSON {
			w.buf = appendConnectionJSON(w.buf, ev, &w.clock)
		} else {
			w.buf = appendConnectionAWS(w.buf, ev, &w.clock)
		}
	case *Access:
		switch w.log.format {
		case JSON:
			w.buf = appendAccessJSON(w.buf, ev, &w.clock)
		case Combined:
			w.buf = appendCombined(w.buf, ev, &w.clock)
		default:
			w.buf = appendAccessAWS(w.buf, ev, &w.clock)
		}
		w.log.release(ev)
	}
	w.lines++
	if len(w.buf) >= batchSize {
		w.flush()
	}
}

// drain writes everything that is queued.
func (w *writer) drain() {
	for {
		select {
		case ev := <-w.log.queue:
			w.add(ev)
		default:
			w.flush()
			return
		}
	}
}

func (w *writer) flush() {
	if w.lines > 0 {
		w.log.out.write(w.buf, w.lines)
		w.buf, w.lines = w.buf[:0], 0
	}
}

func (w *writer) reopen() error {
	w.drain()
	return w.log.out.reopen()
}

func (w *writer) finish() {
	w.drain()
	w.log.out.close()
}
