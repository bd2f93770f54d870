package postgres

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"github.com/jackc/pgx/v5"
)

type devices struct{ *db }

const columns = `d.id, d.state, d.labels, d.notes, d.created, d.first_seen, d.last_seen, d.last_address, d.revision, d.head`

// A record is a row of devices.
type record struct {
	countersign.Device
	head [32]byte
}

func (r *record) scan(from pgx.Row) error {
	var address string
	var head []byte
	if err := from.Scan(&r.ID, &r.State, &r.Labels, &r.Notes, &r.Created, &r.FirstSeen, &r.LastSeen, &address, &r.Revision, &head); err != nil {
		return err
	}
	copy(r.head[:], head)
	r.Created, r.FirstSeen, r.LastSeen = whole(r.Created), whole(r.FirstSeen), whole(r.LastSeen)
	r.LastAddress, _ = netip.ParseAddr(address) // what is not there is not valid
	return nil
}

// whole is a time as every store has it.
func whole(t time.Time) time.Time { return store.FromMilli(store.Milli(t)) }

// kept is a time as PostgreSQL gets it.
func kept(t time.Time) time.Time { return time.UnixMilli(store.Milli(t)) }

func (s devices) Device(ctx context.Context, id string) (countersign.Device, error) {
	doing := "looking up device " + id
	var r record
	err := r.scan(s.pool.QueryRow(ctx, `SELECT `+columns+` FROM devices d WHERE id = $1`, id))
	if errors.Is(err, pgx.ErrNoRows) {
		return countersign.Device{}, &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return r.Device, s.fault(doing, err)
}

func (s devices) Create(ctx context.Context, d countersign.Device, e countersign.TrailEntry) error {
	doing := "adding device " + d.ID
	return s.write(ctx, doing, func(tx pgx.Tx) error {
		w := &writing{}
		head := w.create(d, e)
		tag, err := tx.Exec(ctx, `INSERT INTO devices (id, state, labels, notes, created, revision, head) VALUES ($1, $2, $3, $4, $5, 1, $6)
			ON CONFLICT DO NOTHING`, d.ID, string(d.State), object(d.Labels), d.Notes, kept(d.Created), head[:])
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &store.Fault{Doing: doing, Kind: store.ErrExists}
		}
		return w.send(ctx, tx)
	})
}

func (s devices) Update(ctx context.Context, id string, edit func(*store.Draft) error) (countersign.Device, error) {
	doing := "altering device " + id
	var now countersign.Device
	err := s.write(ctx, doing, func(tx pgx.Tx) error {
		was, err := find(ctx, tx, doing, id)
		if err != nil {
			return err
		}
		draft := store.Draft{Device: was.Device}
		draft.Device.Labels = maps.Clone(was.Labels)
		if err := edit(&draft); err != nil {
			return err
		}
		w := &writing{}
		if draft.EndCredentials {
			w.end(id)
		}
		now = w.alter(was, draft.Device, draft.Entry)
		return w.send(ctx, tx)
	})
	return now, err
}

// find reads a device that nobody else may alter before the transaction ends.
func find(ctx context.Context, tx pgx.Tx, doing, id string) (record, error) {
	var r record
	err := r.scan(tx.QueryRow(ctx, `SELECT `+columns+` FROM devices d WHERE id = $1 FOR NO KEY UPDATE`, id))
	if errors.Is(err, pgx.ErrNoRows) {
		err = &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return r, err
}
