package mirror

import (
	"context"

	"countersign.dev/internal/traffic/devices"
)

// Refresh asks for a device anew, if it is known, and waits until what is known of
// it is what the caller has changed, or the store cannot be asked, or ctx ends. Of
// a device that is not known nothing old is believed.
func (m *Mirror) Refresh(ctx context.Context, id string, until func(*devices.Knowledge) bool) {
	m.mu.Lock()
	e, before := m.entries[id], m.unanswered
	if e != nil {
		m.ask(e)
	}
	m.mu.Unlock()
	for e != nil {
		m.mu.Lock()
		round, failed := m.round, m.unanswered != before
		m.mu.Unlock()
		if k := e.Known(); failed || k != nil && until(k) {
			return
		}
		select {
		case <-round:
		case <-ctx.Done():
			return
		}
	}
}
