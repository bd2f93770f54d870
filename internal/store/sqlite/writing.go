package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// A writing is the statements of one transaction, each prepared once. After the
// first error it does nothing any more.
type writing struct {
	ctx      context.Context
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
	err      error
}

func newWriting(ctx context.Context, tx *sql.Tx) *writing {
	return &writing{ctx: ctx, tx: tx, prepared: map[string]*sql.Stmt{}}
}

func (w *writing) exec(query string, args ...any) {
	if w.err != nil {
		return
	}
	s := w.prepared[query]
	if s == nil {
		if s, w.err = w.tx.PrepareContext(w.ctx, query); w.err != nil {
			return
		}
		w.prepared[query] = s // closed with the transaction
	}
	_, w.err = s.ExecContext(w.ctx, args...)
}

// create writes a new device with the first entry of its trail.
func (w *writing) create(d countersign.Device, e countersign.TrailEntry) error {
	e.From, e.To = "", d.State
	d.Revision = 1
	head := w.record(d.ID, 1, [32]byte{}, e)
	w.exec(`INSERT INTO devices (id, state, labels, notes, created, revision, head) VALUES (?, ?, ?, ?, ?, 1, ?)`,
		d.ID, string(d.State), w.object(d.Labels), d.Notes, store.Milli(d.Created), head[:])
	w.label(d)
	return w.err
}

// alter writes what became of a device, with the next entry of its trail.
func (w *writing) alter(was record, d countersign.Device, e countersign.TrailEntry) countersign.Device {
	d.ID, d.Revision = was.ID, was.Revision+1
	d.Created, d.FirstSeen, d.LastSeen, d.LastAddress = was.Created, was.FirstSeen, was.LastSeen, was.LastAddress
	e.From, e.To = was.State, d.State
	head := w.record(d.ID, d.Revision, was.head, e)
	w.exec(`UPDATE devices SET state = ?, labels = ?, notes = ?, revision = ?, head = ? WHERE id = ?`,
		string(d.State), w.object(d.Labels), d.Notes, d.Revision, head[:], d.ID)
	if d.State != was.State || !maps.Equal(d.Labels, was.Labels) {
		for k, v := range was.Labels {
			w.exec(`DELETE FROM labels WHERE key = ? AND value = ? AND state = ? AND device = ?`, k, v, string(was.State), was.ID)
		}
		w.label(d)
	}
	return d
}

func (w *writing) label(d countersign.Device) {
	for k, v := range d.Labels {
		w.exec(`INSERT INTO labels (key, value, state, device) VALUES (?, ?, ?, ?)`, k, v, string(d.State), d.ID)
	}
}

// record writes an entry of the trail and the line of the change log, and returns
// the entry's hash.
func (w *writing) record(device string, number int64, before [32]byte, e countersign.TrailEntry) [32]byte {
	e.Device, e.Number = device, number
	e.At = store.FromMilli(store.Milli(e.At))
	e.Hash = store.Seal(before, e)
	at := store.Milli(e.At)
	w.exec(`INSERT INTO trail (device, number, at, who, what, why, from_state, to_state, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		device, number, at, e.Who, e.What, e.Why, string(e.From), string(e.To), e.Detail, e.Hash[:])
	w.exec(`INSERT INTO changes (at, noun, key) VALUES (?, ?, ?)`, at, store.NounDevice, device)
	return e.Hash
}

// object is labels as they are kept: keys in order.
func (w *writing) object(labels map[string]string) string {
	if len(labels) == 0 {
		return "{}"
	}
	text, err := json.Marshal(labels)
	if err != nil && w.err == nil {
		w.err = err
	}
	return string(text)
}
