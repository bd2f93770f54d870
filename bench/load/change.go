package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"countersign.dev/bench/credentials"
	"countersign.dev/bench/measure"
)

// A Change is made to a server while its clients look on: a file of its
// configuration is replaced, and some lose their connections by that. It is made
// here, so that one clock times all.
type Change struct {
	Fleets []credentials.Fleet // of which each device has a connection
	New    string              // file that replaces the other, by a new name
	File   string
	PIDs   []int // of the server
}

// A Course is what a Change led to.
type Course struct {
	Lost   int           `json:"lost"`      // connections
	Kept   int           `json:"kept"`      // connections
	Closed time.Duration `json:"closed_ns"` // from the change to the end of the last that was lost
	CPU    time.Duration `json:"cpu_ns"`    // of the server, from the change to a second later, or to the end of the last

	// Of requests on connections that stay, while the change was made and before.
	Before Phase `json:"before"`
	Amid   Phase `json:"amid"`
	// Handshakes are those that were made meanwhile.
	Handshakes int64 `json:"handshakes"`
}

// A present is the connections of a Change.
type present struct {
	Change
	kept, lost []*tls.Conn
	check      *exchange
}

// attend makes the connections, with a request on each.
func attend(s Spec) (*present, error) {
	if s.Change == nil {
		return nil, fmt.Errorf("the work %q needs a change", s.Kind)
	}
	p := &present{Change: *s.Change, check: newExchange(requestOf(s), s.Answer)}
	base, err := credentials.Dial(s.Root, credentials.Client{})
	if err != nil {
		return nil, err
	}
	for _, f := range p.Fleets {
		devices, err := f.Devices()
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		dials := make([]*dialer, len(devices))
		for i := range devices {
			cfg := base.Clone()
			cfg.Certificates = devices[i : i+1]
			dials[i] = &dialer{address: s.Address, config: cfg, from: source(len(p.kept) + len(p.lost) + i)}
		}
		conns, err := openAll(dials, p.check.request, s.Answer)
		if f.Lost {
			p.lost = append(p.lost, conns...)
		} else {
			p.kept = append(p.kept, conns...)
		}
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	return p, nil
}

// make makes the change, and returns when all that are to be lost have ended.
func (p *present) make() (began time.Time, c Course, err error) {
	c.Lost, c.Kept = len(p.lost), len(p.kept)
	ends := make(chan error, len(p.lost))
	for _, conn := range p.lost {
		conn.SetReadDeadline(time.Now().Add(patience))
		go func() { ends <- ended(conn) }()
	}
	before, err := measure.Exact(p.PIDs)
	if err != nil {
		return began, c, err
	}
	began = time.Now()
	if err := os.Rename(p.New, p.File); err != nil {
		return began, c, err
	}
	for range p.lost {
		err = errors.Join(err, <-ends)
	}
	if c.Closed = time.Since(began); err != nil {
		return began, c, err
	}
	time.Sleep(time.Second - c.Closed)
	after, err := measure.Exact(p.PIDs)
	c.CPU = after - before
	return began, c, err
}

// ended waits for the other side to end the connection.
func ended(conn *tls.Conn) error {
	var one [1]byte
	switch _, err := conn.Read(one[:]); {
	case err == nil:
		return errors.New("a client was sent something that it did not ask for")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("a client that is not accepted any more is connected after %s", patience)
	default:
		return nil
	}
}

// finish has every client that was to keep its connection ask once more.
func (p *present) finish() error {
	for i, conn := range p.kept {
		conn.SetDeadline(time.Now().Add(patience))
		if err := p.check.on(conn); err != nil {
			return errors.Join(fmt.Errorf("client %d of %d that were to stay: %w", i+1, len(p.kept), err), p.close())
		}
	}
	return p.close()
}

func (p *present) close() error {
	for _, c := range append(p.kept, p.lost...) {
		if c != nil {
			c.NetConn().Close()
		}
	}
	return nil
}

// A silentChange is one that is made while all are silent.
type silentChange struct {
	*present
	silence time.Duration
}

func beginChange(s Spec) (job, error) {
	p, err := attend(s)
	return silentChange{p, s.Duration}, err
}

func (j silentChange) do() Result {
	time.Sleep(j.silence)
	_, c, err := j.make()
	r := Result{Operations: int64(c.Lost), Connections: c.Kept, Elapsed: c.Closed, P50: c.Closed, P99: c.Closed, Course: &c}
	if err != nil {
		r.Errors, r.Error = 1, err.Error()
	}
	return r
}

// A busyChange is one that is made while the server has as much to do as it can.
type busyChange struct {
	*present
	requests   *keepAlive
	handshakes *handshakes
	each       time.Duration // before the change, and at least after it
}

// greeters is how many handshakes are made at a time.
const greeters = 4

func beginBusyChange(s Spec) (job, error) {
	p, err := attend(s)
	if err != nil {
		return nil, err
	}
	// Its own garbage, which handshakes make most of, is not to be waited for.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	h := s
	h.Connections = greeters
	made, err := beginHandshake(h)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	kept, err := connect(s)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return busyChange{p, kept, made.(*handshakes), s.Duration}, nil
}

func (j busyChange) do() Result {
	over := make(chan struct{})
	started := time.Now()
	requests, handshakes := newDiaries(len(j.requests.work), over), newDiaries(greeters, over)
	var working sync.WaitGroup
	requests.keep(&working, j.requests.work)
	handshakes.keep(&working, j.handshakes.work)
	time.Sleep(j.each)
	began, c, err := j.make()
	time.Sleep(time.Until(began.Add(max(j.each, c.Closed))))
	close(over)
	working.Wait()
	// The second in which the list is replaced, or longer if it takes longer.
	end := began.Add(max(time.Second, c.Closed))
	c.Before, c.Amid = requests.between(started, began), requests.between(began, end)
	c.Handshakes = handshakes.between(began, end).Operations
	r := Result{
		Operations: c.Before.Operations + c.Amid.Operations, Connections: c.Kept + len(j.requests.work),
		Elapsed: end.Sub(started), P50: c.Amid.P50, P99: c.Amid.P99, Course: &c,
	}
	for _, err := range []error{err, requests.fault(), handshakes.fault()} {
		if err != nil {
			r.Errors++
			r.Error = err.Error()
		}
	}
	return r
}

func (j busyChange) finish() error { return errors.Join(j.requests.finish(), j.present.finish()) }
