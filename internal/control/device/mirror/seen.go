package mirror

import (
	"context"
	"net/netip"
	"time"

	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/devices"
)

// most bounds the sightings that wait to be written down: those that come while
// the store is away are lost then.
const most = 100_000

// Seen is devices.Register's. A device with many connections is seen as seldom as
// one with a single one.
func (m *Mirror) Seen(r *devices.Record, at time.Time, from netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[r.ID()]
	if e == nil || at.UnixNano()-e.seen < int64(devices.Sample) || len(m.seen) >= most {
		return
	}
	e.seen = at.UnixNano()
	m.seen = append(m.seen, store.Sighting{Device: e.ID(), At: at, Address: from.String()})
}

// writeDown has the store keep which devices were seen, until ctx ends, and what
// is left then.
func (m *Mirror) writeDown(ctx context.Context, into store.Sightings) {
	t := time.NewTicker(m.every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			m.flush(ctx, into)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			m.flush(last, into)
			return
		}
	}
}

func (m *Mirror) flush(ctx context.Context, into store.Sightings) {
	m.mu.Lock()
	some := m.seen
	m.seen = nil
	m.mu.Unlock()
	const together = 1000
	for len(some) > 0 && ctx.Err() == nil {
		n := min(len(some), together)
		writing, cancel := context.WithTimeout(ctx, answered)
		err := into.Record(writing, some[:n])
		cancel()
		if err != nil {
			break
		}
		some = some[n:]
	}
	if len(some) == 0 {
		return
	}
	// The store is away, which has been said.
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(some, m.seen...)
}
