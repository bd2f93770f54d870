package mirror

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/devices"
)

// Config is what a Mirror needs; its zero value works.
type Config struct {
	// Size is how many devices are remembered that nobody holds. 0: a million, which
	// take 280 MB once so many have come.
	Size   int
	Logger *slog.Logger
	// Every is how often it is written down which devices were seen. 0: ten seconds.
	Every time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Mirror is what the node knows of devices: a devices.Register. What nobody asks
// for it does not know; what was asked for it keeps up to date, and forgets what
// was not in use for longest when there is too much.
type Mirror struct {
	size   int
	every  time.Duration
	logger *slog.Logger
	now    func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
	unused  list          // of entries that nobody holds, the latest first
	queue   []*entry      // to be asked for, each once
	later   []*entry      // to be read anew, when nobody waits
	round   chan struct{} // closed, and another one made, with each answer and each failure
	stirred chan struct{} // there is something to be asked for
	failing bool          // the last question was not answered
	good    time.Time     // when the change log was last read; zero: never
	seen    []store.Sighting

	lookups, hits    uint64
	unanswered, deaf uint64 // questions, and readings of the change log, that failed
	lost             uint64 // places in the change log
}

// An entry is a device.
type entry struct {
	*devices.Record
	holders    int
	queued     bool
	prev, next *entry // in unused
	seen       int64  // UnixNano
}

// New returns a Mirror that knows nothing.
func New(cfg Config) *Mirror {
	m := &Mirror{
		size: cmp.Or(cfg.Size, 1_000_000), every: cmp.Or(cfg.Every, 10*time.Second), logger: cfg.Logger, now: cfg.Now,
		entries: map[string]*entry{}, round: make(chan struct{}), stirred: make(chan struct{}, 1),
	}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	if m.now == nil {
		m.now = time.Now
	}
	return m
}

// Hold is devices.Register's.
func (m *Mirror) Hold(id string) *devices.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups++
	e := m.entries[id]
	switch {
	case e == nil:
		e = &entry{Record: devices.NewRecord(id)}
		m.entries[id] = e
		m.ask(e)
	case e.holders == 0:
		m.unused.remove(e)
	}
	if e.Known() != nil {
		m.hits++
	}
	e.holders++
	return e.Record
}

// Release is devices.Register's.
func (m *Mirror) Release(r *devices.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[r.ID()]
	if e.holders--; e.holders > 0 {
		return
	}
	if k := e.Known(); k == nil || k.State == "" {
		delete(m.entries, e.ID()) // there may be any number of those that do not exist
		return
	}
	m.unused.push(e)
	for m.unused.length > m.size {
		oldest := m.unused.last
		m.unused.remove(oldest)
		delete(m.entries, oldest.ID())
	}
}

// Await is devices.Register's.
func (m *Mirror) Await(ctx context.Context, r *devices.Record) {
	m.mu.Lock()
	before := m.unanswered
	m.mu.Unlock()
	for {
		m.mu.Lock()
		round, failed := m.round, m.unanswered != before
		m.mu.Unlock()
		if failed || r.Known() != nil {
			return
		}
		select {
		case <-round:
		case <-ctx.Done():
			return
		}
	}
}

// ask puts e into the queue. m.mu is held.
func (m *Mirror) ask(e *entry) {
	if e.queued {
		return
	}
	e.queued = true
	m.queue = append(m.queue, e)
	m.stir()
}

func (m *Mirror) stir() {
	select {
	case m.stirred <- struct{}{}:
	default:
	}
}

// A State is how things stand with a Mirror.
type State struct {
	// Devices are those that are known, Held those that have connections.
	Devices, Held int
	// Lookups of connections, and how many found that something was known.
	Lookups, Hits uint64
	// Failures of the store, and how often everything had to be read anew because it
	// could not tell what had changed.
	Failures, Resyncs uint64
	// Checked is when what is known was last up to date; zero: never.
	Checked time.Time
}

// State returns it.
func (m *Mirror) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return State{
		Devices: len(m.entries), Held: len(m.entries) - m.unused.length,
		Lookups: m.lookups, Hits: m.hits, Failures: m.unanswered + m.deaf, Resyncs: m.lost, Checked: m.good,
	}
}

// A list is of entries.
type list struct {
	first, last *entry
	length      int
}

func (l *list) push(e *entry) {
	e.prev, e.next = nil, l.first
	if l.first != nil {
		l.first.prev = e
	} else {
		l.last = e
	}
	l.first = e
	l.length++
}

func (l *list) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.prev, e.next = nil, nil
	l.length--
}
