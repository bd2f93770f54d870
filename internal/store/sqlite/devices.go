package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"net/netip"

	"countersign.dev"
	"countersign.dev/internal/store"
)

type devices struct{ *db }

const columns = `d.id, d.state, d.labels, d.notes, d.created, d.first_seen, d.last_seen, d.last_address, d.revision, d.head`

// A record is a row of devices.
type record struct {
	countersign.Device
	head [32]byte
}

func (r *record) scan(from interface{ Scan(...any) error }) error {
	var labels, address string
	var created, first, last int64
	var head []byte
	if err := from.Scan(&r.ID, &r.State, &labels, &r.Notes, &created, &first, &last, &address, &r.Revision, &head); err != nil {
		return err
	}
	copy(r.head[:], head)
	r.Created, r.FirstSeen, r.LastSeen = store.FromMilli(created), store.FromMilli(first), store.FromMilli(last)
	r.LastAddress, _ = netip.ParseAddr(address) // what is not there is not valid
	if labels == "{}" {
		r.Labels = map[string]string{}
		return nil
	}
	return json.Unmarshal([]byte(labels), &r.Labels)
}

func (s devices) Device(ctx context.Context, id string) (countersign.Device, error) {
	doing := "looking up device " + id
	var r record
	err := r.scan(s.reader.QueryRowContext(ctx, `SELECT `+columns+` FROM devices d WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return countersign.Device{}, &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return r.Device, fault(doing, err)
}

func (s devices) Create(ctx context.Context, d countersign.Device, e countersign.TrailEntry) error {
	doing := "adding device " + d.ID
	return s.write(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM devices WHERE id = ?`, d.ID).Scan(&known); err != nil {
			return err
		}
		if known > 0 {
			return &store.Fault{Doing: doing, Kind: store.ErrExists}
		}
		w := newWriting(ctx, tx)
		w.create(d, e)
		return w.flush()
	})
}

func (s devices) Update(ctx context.Context, id string, edit func(*store.Draft) error) (countersign.Device, error) {
	doing := "altering device " + id
	var now countersign.Device
	err := s.write(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
		was, err := find(ctx, tx, doing, id)
		if err != nil {
			return err
		}
		draft := store.Draft{Device: was.Device}
		draft.Device.Labels = maps.Clone(was.Labels)
		if err := edit(&draft); err != nil {
			return err
		}
		w := newWriting(ctx, tx)
		if draft.EndCredentials {
			w.end(id)
		}
		now = w.alter(was, draft.Device, draft.Entry)
		return w.flush()
	})
	return now, err
}

func find(ctx context.Context, tx *sql.Tx, doing, id string) (record, error) {
	var r record
	err := r.scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM devices d WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		err = &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return r, err
}
