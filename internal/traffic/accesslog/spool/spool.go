package spool

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

// Config says where lines go and how events become lines.
type Config[E any] struct {
	Path   string       // a file, created with mode 0640 if need be and appended to; "-" is Stdout
	Queue  int          // events that may wait to be written; 0: 16384
	Bytes  int64        // that they may take meanwhile, by Size; 0: 64 MiB
	Logger *slog.Logger // told of write errors, at most once a minute, and when they are over; nil: slog.Default()
	Stdout io.Writer    // nil: os.Stdout
	// Size says roughly how much memory an event takes; nil: events are small.
	Size func(E) int
	// Append appends the line of an event, its newline included. The owner calls
	// it, one event at a time.
	Append func(dst []byte, e E) []byte
}

const (
	defaultQueue = 16384
	defaultBytes = 64 << 20
	// After it has written, the owner lets events pile up for this long, so that
	// a busy log costs a few wake-ups and writes a second instead of one per
	// event, and a quiet one still shows a line at once.
	pause     = 20 * time.Millisecond
	batchSize = 64 << 10
)

// A Spool takes events and writes them as lines. It is safe for concurrent use.
type Spool[E any] struct {
	out  *output
	line func([]byte, E) []byte
	size func(E) int

	queue  chan E
	room   atomic.Int64  // bytes that may still be queued
	hurry  chan struct{} // the queue is half full
	reopen chan chan error
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once

	closed  atomic.Bool
	dropped atomic.Uint64

	// The owner's: what is formatted and not yet written.
	buf   []byte
	lines uint64
}

// Open opens a spool and starts its owner, which Close ends.
func Open[E any](c Config[E]) (*Spool[E], error) {
	if c.Queue < 0 {
		return nil, fmt.Errorf("log queue %d: want a number of events, or 0 for %d", c.Queue, defaultQueue)
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Bytes == 0 {
		c.Bytes = defaultBytes
	}
	if c.Size == nil {
		c.Size = func(E) int { return 0 }
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
	s := &Spool[E]{
		out:    out,
		line:   c.Append,
		size:   c.Size,
		queue:  make(chan E, c.Queue),
		hurry:  make(chan struct{}, 1),
		reopen: make(chan chan error),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	s.room.Store(c.Bytes)
	go s.own()
	return s, nil
}

// Offer queues an event and reports whether it will be written; if not, it is
// counted as dropped. It never waits.
func (s *Spool[E]) Offer(e E) bool {
	if s.closed.Load() {
		s.dropped.Add(1)
		return false
	}
	size := int64(s.size(e)) // before the owner has it
	if s.room.Add(-size) < 0 {
		s.room.Add(size)
		s.dropped.Add(1)
		return false
	}
	select {
	case s.queue <- e:
	default:
		s.room.Add(size)
		s.dropped.Add(1)
		return false
	}
	if len(s.queue) > cap(s.queue)/2 {
		select {
		case s.hurry <- struct{}{}:
		default:
		}
	}
	return true
}

// Waiting is how many events are queued.
func (s *Spool[E]) Waiting() int { return len(s.queue) }

// Dropped counts the events that were lost: the queue was full, the spool
// closed, or the line could not be written.
func (s *Spool[E]) Dropped() uint64 { return s.dropped.Load() + s.out.lost.Load() }

// WriteErrors counts failed writes.
func (s *Spool[E]) WriteErrors() uint64 { return s.out.errors.Load() }

// Reopen opens the file anew by its name, for a rotation that has renamed it,
// and returns when events queued from now on go to the new file. On an error
// the old file stays in use. Standard output is left alone.
func (s *Spool[E]) Reopen() error {
	answer := make(chan error, 1)
	select {
	case s.reopen <- answer:
		return <-answer
	case <-s.done:
		return fmt.Errorf("log file %s is closed", s.out.path)
	}
}

// Close writes what is queued and closes the file. Events that come later are
// dropped. It returns early with ctx's error when the output does not take the
// lines in time.
func (s *Spool[E]) Close(ctx context.Context) error {
	s.closed.Store(true)
	s.once.Do(func() { close(s.stop) })
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("log file %s: %d events not written: %w", s.out.path, len(s.queue), ctx.Err())
	}
}

// own is the one goroutine that formats and writes.
func (s *Spool[E]) own() {
	defer close(s.done)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case e := <-s.queue:
			s.add(e)
			s.drain()
		case answer := <-s.reopen:
			answer <- s.swap()
			continue
		case <-s.stop:
			s.finish()
			return
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-s.hurry:
		case answer := <-s.reopen:
			answer <- s.swap()
		case <-s.stop:
			s.finish()
			return
		}
	}
}

func (s *Spool[E]) add(e E) {
	s.room.Add(int64(s.size(e)))
	s.buf = s.line(s.buf, e)
	s.lines++
	if len(s.buf) >= batchSize {
		s.flush()
	}
}

// drain writes everything that is queued.
func (s *Spool[E]) drain() {
	for {
		select {
		case e := <-s.queue:
			s.add(e)
		default:
			s.flush()
			return
		}
	}
}

func (s *Spool[E]) flush() {
	if s.lines > 0 {
		s.out.write(s.buf, s.lines)
		s.buf, s.lines = s.buf[:0], 0
	}
}

func (s *Spool[E]) swap() error {
	s.drain()
	return s.out.reopen()
}

func (s *Spool[E]) finish() {
	s.drain()
	s.out.close()
}
