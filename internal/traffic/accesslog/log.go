package accesslog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"countersign.dev/internal/traffic/accesslog/spool"
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
	Path   string       // a file, created with mode 0640 if need be and appended to; "-" is Stdout
	Format Format       // "" is AWS
	Queue  int          // events that may wait to be written; 0: 16384
	Logger *slog.Logger // told of write errors, at most once a minute, and when they are over; nil: slog.Default()
	Stdout io.Writer    // nil: os.Stdout
}

// A Log takes events and writes them as lines. It is safe for concurrent use.
// A nil *Log is a log that is off: every method does nothing.
type Log struct {
	format Format
	spool  *spool.Spool[event]
	pool   sync.Pool // of *Access
	clock  clock     // the spool's owner's
}

// An event is a *Connection, an *Expulsion, a *Stream or an *Access.
type event any

// sizeOf is roughly the memory that an event takes, as far as strangers decide.
func sizeOf(ev event) int {
	const fixed = 1 << 10
	switch ev := ev.(type) {
	case *Access:
		return fixed + cap(ev.arena)
	case *Expulsion:
		return sizeOf(ev.Connection)
	case *Stream:
		return sizeOf(ev.Connection)
	case *Connection:
		if id := ev.Certificate; id != nil {
			return fixed + 2*(len(id.Subject)+len(id.Issuer)) + 32*(len(id.DNSNames)+len(id.URIs)+len(id.Emails)+len(id.IPs))
		}
	}
	return fixed
}

// Open opens a log, which Close ends.
func Open(c Config) (*Log, error) {
	switch c.Format {
	case AWS, JSON, Combined:
	case "":
		c.Format = AWS
	default:
		return nil, fmt.Errorf("log format %q: want aws, json or combined", c.Format)
	}
	l := &Log{format: c.Format, pool: sync.Pool{New: newAccess}}
	var err error
	l.spool, err = spool.Open(spool.Config[event]{
		Path: c.Path, Queue: c.Queue, Logger: c.Logger, Stdout: c.Stdout, Append: l.appendLine, Size: sizeOf,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Connection queues the event of a connection. The log reads c later: it must
// not be changed any more.
func (l *Log) Connection(c *Connection) {
	if l != nil && c != nil {
		l.spool.Offer(c)
	}
}

// Expulsion queues the event of a connection that is ended. Only the format JSON
// has a line for it: in AWS's there is one line for a connection.
func (l *Log) Expulsion(x *Expulsion) {
	if l != nil && x != nil && l.format == JSON {
		l.spool.Offer(x)
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
	if !l.spool.Offer(a) {
		l.release(a)
	}
}

func (l *Log) release(a *Access) {
	a.reset()
	l.pool.Put(a)
}

// appendLine formats one event and gives its memory back.
func (l *Log) appendLine(dst []byte, ev event) []byte {
	switch ev := ev.(type) {
	case *Connection:
		if l.format == JSON {
			return appendConnectionJSON(dst, ev, &l.clock)
		}
		return appendConnectionAWS(dst, ev, &l.clock)
	case *Expulsion:
		return appendExpulsionJSON(dst, ev, &l.clock)
	case *Stream:
		if l.format == JSON {
			return appendStreamJSON(dst, ev, &l.clock)
		}
		return appendStreamAWS(dst, ev, &l.clock)
	case *Access:
		defer l.release(ev)
		switch l.format {
		case JSON:
			return appendAccessJSON(dst, ev, &l.clock)
		case Combined:
			return appendCombined(dst, ev, &l.clock)
		}
		return appendAccessAWS(dst, ev, &l.clock)
	}
	return dst
}

// Dropped counts the events that were lost: the queue was full, the log closed,
// or their line could not be written.
func (l *Log) Dropped() uint64 {
	if l == nil {
		return 0
	}
	return l.spool.Dropped()
}

// WriteErrors counts failed writes.
func (l *Log) WriteErrors() uint64 {
	if l == nil {
		return 0
	}
	return l.spool.WriteErrors()
}

// Reopen opens the file anew by its name, for a rotation that has renamed it,
// and returns when events from now on go to the new file. On an error the old
// file stays in use. Standard output is left alone.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	return l.spool.Reopen()
}

// Close writes what is queued and closes the file. Events that come later are
// dropped. It returns early with ctx's error when the output does not take the
// lines in time.
func (l *Log) Close(ctx context.Context) error {
	if l == nil {
		return nil
	}
	return l.spool.Close(ctx)
}
