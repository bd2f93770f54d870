package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// A writing is the statements of one transaction, each prepared once. New rows are
// collected, and inserted several at once; flush inserts the rest. After the first
// error it does nothing any more.
type writing struct {
	ctx      context.Context
	tx       *sql.Tx
	prepared map[string]*sql.Stmt
	err      error

	devices, labels, trail, changes rows
}

// rows are to be inserted into one table.
type rows struct {
	into string // devices (id, state)
	one  string // (?, ?)
	args []any
	n    int
}

// together is how many rows are inserted by one statement.
const together = 32

func newWriting(ctx context.Context, tx *sql.Tx) *writing {
	return &writing{ctx: ctx, tx: tx, prepared: map[string]*sql.Stmt{},
		devices: rows{into: `devices (id, state, labels, notes, created, revision, head)`, one: `(?, ?, ?, ?, ?, ?, ?)`},
		labels:  rows{into: `labels (key, value, state, device)`, one: `(?, ?, ?, ?)`},
		trail:   rows{into: `trail (device, number, at, who, what, why, from_state, to_state, detail, hash)`, one: `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		changes: rows{into: `changes (at, noun, key)`, one: `(?, ?, ?)`},
	}
}

func (w *writing) insert(r *rows, args ...any) {
	r.args = append(r.args, args...)
	if r.n++; r.n == together {
		w.put(r)
	}
}

func (w *writing) put(r *rows) {
	if r.n > 0 {
		w.exec(`INSERT INTO `+r.into+` VALUES `+r.one+strings.Repeat(`, `+r.one, r.n-1), r.args...)
		r.args, r.n = r.args[:0], 0
	}
}

// flush inserts what was collected, and returns the first error of all.
func (w *writing) flush() error {
	for _, r := range []*rows{&w.devices, &w.labels, &w.trail, &w.changes} {
		w.put(r)
	}
	return w.err
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
func (w *writing) create(d countersign.Device, e countersign.TrailEntry) {
	e.From, e.To = "", d.State
	d.Revision = 1
	head := w.record(d.ID, 1, [32]byte{}, e)
	w.insert(&w.devices, d.ID, string(d.State), w.object(d.Labels), d.Notes, store.Milli(d.Created), d.Revision, head[:])
	w.label(d)
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
		w.insert(&w.labels, k, v, string(d.State), d.ID)
	}
}

// record writes an entry of the trail and the line of the change log, and returns
// the entry's hash.
func (w *writing) record(device string, number int64, before [32]byte, e countersign.TrailEntry) [32]byte {
	e.Device, e.Number = device, number
	e.At = store.FromMilli(store.Milli(e.At))
	e.Hash = store.Seal(before, e)
	at := store.Milli(e.At)
	w.insert(&w.trail, device, number, at, e.Who, e.What, e.Why, string(e.From), string(e.To), e.Detail, e.Hash[:])
	w.insert(&w.changes, at, store.NounDevice, device)
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
