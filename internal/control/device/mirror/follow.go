package mirror

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/devices"
)

// A Source is where a Mirror learns, and whom it tells.
type Source struct {
	Standings store.Standings
	Changes   store.Changes
	// Sightings is told which devices were seen. nil: nobody is.
	Sightings store.Sightings
	// Suspect is told of devices that somebody holds when something else is known of
	// them than before.
	Suspect func(ids []string)
}

const (
	batch    = 256                    // devices that are asked for at once
	interval = 200 * time.Millisecond // between two looks at the change log, at most
	pause    = 250 * time.Millisecond // after a question that was not answered
	answered = 5 * time.Second        // for a question about devices
	told     = time.Minute            // for what has changed: an import may be in it
)

// Follow learns from a source until ctx ends. It is called once at a time.
func (m *Mirror) Follow(ctx context.Context, from Source) {
	var all sync.WaitGroup
	all.Go(func() { m.followChanges(ctx, from.Changes) })
	all.Go(func() { m.answer(ctx, from) })
	if from.Sightings != nil {
		all.Go(func() { m.writeDown(ctx, from.Sightings) })
	}
	all.Wait()
}

// answer asks what is in the queue. Nobody else asks, so that no older answer
// comes behind a newer one.
func (m *Mirror) answer(ctx context.Context, from Source) {
	for {
		some := m.next()
		if len(some) == 0 {
			select {
			case <-m.stirred:
				continue
			case <-ctx.Done():
				return
			}
		}
		ids := make([]string, len(some))
		for i, e := range some {
			ids[i] = e.ID()
		}
		question, cancel := context.WithTimeout(ctx, answered)
		standings, err := from.Standings.Standings(question, ids)
		cancel()
		if ctx.Err() != nil {
			m.again(some)
			return
		}
		if err != nil {
			m.again(some)
			m.fail(err)
			if !rest(ctx, pause) {
				return
			}
			continue
		}
		if changed := m.learn(some, standings); len(changed) > 0 {
			from.Suspect(changed)
		}
	}
}

// next takes some of what is to be asked for: first what somebody waits for, or
// what has changed.
func (m *Mirror) next() []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := &m.queue
	if len(m.queue) == 0 {
		from = &m.later
	}
	n := min(len(*from), batch)
	some := (*from)[:n:n]
	if *from = (*from)[n:]; len(*from) == 0 {
		*from = nil
	}
	for _, e := range some {
		e.queued = false // whatever changes from now on is asked for again
	}
	return some
}

// again puts back what was not answered.
func (m *Mirror) again(some []*entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range some {
		if m.entries[e.ID()] == e {
			m.ask(e)
		}
	}
}

// learn takes in what is known of some, and returns which of them connections
// must be told of.
func (m *Mirror) learn(some []*entry, standings []store.Standing) (changed []string) {
	found := make(map[string]*store.Standing, len(standings))
	for i := range standings {
		found[standings[i].ID] = &standings[i]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range some {
		before, now := e.Known(), KnowledgeOf(found[e.ID()])
		if before != nil && before.Equal(now) {
			continue
		}
		e.Learn(now)
		if e.holders > 0 && (before != nil || now.State != countersign.DeviceActive) {
			changed = append(changed, e.ID())
		}
	}
	if m.failing {
		m.failing = false
		m.logger.Info("the registry of devices answers again")
	}
	m.turn()
	return changed
}

// turn has those look again who wait. m.mu is held.
func (m *Mirror) turn() {
	close(m.round)
	m.round = make(chan struct{})
}

// fail notes that a question was not answered.
func (m *Mirror) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unanswered++
	if !m.failing {
		m.failing = true
		m.logger.Error("the registry of devices cannot be asked: devices that are known go on as they are, others are refused until it answers", "error", err)
	}
	m.turn()
}

// KnowledgeOf is what a standing says to traffic; nil: there is no such device.
func KnowledgeOf(s *store.Standing) *devices.Knowledge {
	if s == nil {
		return &devices.Knowledge{}
	}
	k := &devices.Knowledge{State: s.State, CutOff: s.CutOff}
	if len(s.Credentials) > 0 {
		k.Credentials = make([]devices.Credential, len(s.Credentials))
		for i, c := range s.Credentials {
			k.Credentials[i] = devices.Credential{Fingerprint: c.Fingerprint, Revoked: c.State != countersign.CredentialValid}
		}
	}
	return k
}

// followChanges has asked for again what the change log tells of.
func (m *Mirror) followChanges(ctx context.Context, log store.Changes) {
	var at store.Cursor
	silent := false
	for ctx.Err() == nil {
		var err error
		if at == "" {
			at, err = m.begin(ctx, log)
		} else {
			at, err = m.since(ctx, log, at)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && silent:
			silent = false
			m.logger.Info("the change log of the registry of devices is read again")
		case err != nil && !silent:
			silent = true
			m.logger.Error("the change log of the registry of devices cannot be read: what is known of devices is kept as it is", "error", err)
		}
		if err != nil {
			m.mu.Lock()
			m.deaf++
			m.mu.Unlock()
			if !rest(ctx, pause) {
				return
			}
			continue
		}
		if log.Wait(ctx, interval) != nil {
			return
		}
	}
}

// begin finds where the log is now, and has everything asked for: what changed
// before is in the answers.
func (m *Mirror) begin(ctx context.Context, log store.Changes) (store.Cursor, error) {
	now := m.now()
	ctx, cancel := context.WithTimeout(ctx, answered)
	defer cancel()
	at, err := log.Now(ctx)
	if err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.later = slices.Collect(maps.Values(m.entries))
	m.stir()
	m.good = now
	return at, nil
}

func (m *Mirror) since(ctx context.Context, log store.Changes, from store.Cursor) (store.Cursor, error) {
	now := m.now()
	ctx, cancel := context.WithTimeout(ctx, told)
	defer cancel()
	at, err := log.Since(ctx, from, func(c store.Change) {
		if c.Noun == store.NounDevice {
			m.changed(c.Key)
		}
	})
	if errors.Is(err, store.ErrCursorLost) {
		m.mu.Lock()
		m.lost++
		m.mu.Unlock()
		m.logger.Warn("the registry of devices cannot tell any more what has changed: everything is read anew", "error", err)
		return m.begin(ctx, log)
	}
	if err != nil {
		return from, err
	}
	m.mu.Lock()
	m.good = now
	m.mu.Unlock()
	return at, nil
}

func (m *Mirror) changed(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[id]; e != nil {
		m.ask(e)
	}
}

// rest waits; false: ctx has ended.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
