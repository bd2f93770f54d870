package postgres

import (
	"context"
	"maps"
	"slices"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
)

// A writing is statements that are sent together, and rows that are copied.
type writing struct {
	pgx.Batch
	devices, labels, trail, changes [][]any
}

// create collects what belongs to a new device, but for its row.
func (w *writing) create(d countersign.Device, e countersign.TrailEntry) (head [32]byte) {
	e.From, e.To = "", d.State
	w.label(d)
	return w.record(d.ID, 1, head, e)
}

// alter collects what became of a device, with the next entry of its trail.
func (w *writing) alter(was record, d countersign.Device, e countersign.TrailEntry) countersign.Device {
	d.ID, d.Revision = was.ID, was.Revision+1
	d.Created, d.FirstSeen, d.LastSeen, d.LastAddress = was.Created, was.FirstSeen, was.LastSeen, was.LastAddress
	e.From, e.To = was.State, d.State
	head := w.record(d.ID, d.Revision, was.head, e)
	w.Queue(`UPDATE devices SET state = $1, labels = $2, notes = $3, revision = $4, head = $5 WHERE id = $6`,
		string(d.State), object(d.Labels), d.Notes, d.Revision, head[:], d.ID)
	if d.State != was.State || !maps.Equal(d.Labels, was.Labels) {
		for k, v := range was.Labels {
			w.Queue(`DELETE FROM labels WHERE key = $1 AND value = $2 AND state = $3 AND device = $4`, k, v, string(was.State), was.ID)
		}
		w.label(d)
	}
	return d
}

func (w *writing) label(d countersign.Device) {
	for k, v := range d.Labels {
		w.labels = append(w.labels, []any{k, v, string(d.State), d.ID})
	}
}

// record collects an entry of the trail and the line of the change log, and
// returns the entry's hash.
func (w *writing) record(device string, number int64, before [32]byte, e countersign.TrailEntry) [32]byte {
	e.Device, e.Number, e.At = device, number, whole(e.At)
	e.Hash = store.Seal(before, e)
	w.trail = append(w.trail, []any{device, number, kept(e.At), e.Who, e.What, e.Why, string(e.From), string(e.To), e.Detail, e.Hash[:]})
	w.changes = append(w.changes, []any{kept(e.At), store.NounDevice, device})
	return e.Hash
}

func object(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// copied is how many rows are copied rather than inserted one by one.
const copied = 64

// send writes what was collected.
func (w *writing) send(ctx context.Context, tx pgx.Tx) error {
	// In the order of their index, as far as a batch has it.
	slices.SortFunc(w.labels, func(a, b []any) int {
		for i := range a {
			if c := strings.Compare(a[i].(string), b[i].(string)); c != 0 {
				return c
			}
		}
		return 0
	})
	tables := []struct {
		name    string
		columns []string
		insert  string
		rows    [][]any
	}{
		{"devices", []string{"id", "state", "labels", "notes", "created", "revision", "head"},
			`INSERT INTO devices (id, state, labels, notes, created, revision, head) VALUES ($1, $2, $3, $4, $5, $6, $7)`, w.devices},
		{"labels", []string{"key", "value", "state", "device"},
			`INSERT INTO labels (key, value, state, device) VALUES ($1, $2, $3, $4)`, w.labels},
		{"trail", []string{"device", "number", "at", "who", "what", "why", "from_state", "to_state", "detail", "hash"},
			`INSERT INTO trail (device, number, at, who, what, why, from_state, to_state, detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, w.trail},
		{"changes", []string{"at", "noun", "key"},
			`INSERT INTO changes (at, noun, key) VALUES ($1, $2, $3)`, w.changes},
	}
	for _, t := range tables {
		if len(t.rows) < copied {
			for _, r := range t.rows {
				w.Queue(t.insert, r...)
			}
		}
	}
	if w.Len() > 0 {
		if err := tx.SendBatch(ctx, &w.Batch).Close(); err != nil {
			return err
		}
	}
	for _, t := range tables {
		if len(t.rows) >= copied {
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return err
			}
		}
	}
	return nil
}
