package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"countersign.dev/internal/store"
)

type enrollments struct{ *db }

const enrollmentColumns = `coalesce(e.device, d.id), coalesce(e.claim, ''), e.secret, e.pin, coalesce(e.asked, '[]'), e.chain, e.sealed_key, e.taken, e.fingerprint,
	coalesce(e.delivered, 0), coalesce(e.acknowledged, 0)`

func scanEnrollment(from interface{ Scan(...any) error }) (store.Enrollment, error) {
	var e store.Enrollment
	var asked string
	var delivered, acknowledged int64
	err := from.Scan(&e.Device, &e.Claim, &e.Secret, &e.Key, &asked, &e.Chain, &e.SealedKey, &e.Taken, &e.Fingerprint, &delivered, &acknowledged)
	if err != nil {
		return e, err
	}
	e.Delivered, e.Acknowledged = store.FromMilli(delivered), store.FromMilli(acknowledged)
	return e, json.Unmarshal([]byte(asked), &e.Asked)
}

const enrollment = `SELECT ` + enrollmentColumns + ` FROM devices d LEFT JOIN enrollments e ON e.device = d.id WHERE d.id = ?`

func (s enrollments) Enrollment(ctx context.Context, device string) (store.Enrollment, error) {
	doing := "looking up the enrollment of device " + device
	e, err := scanEnrollment(s.reader.QueryRowContext(ctx, enrollment, device))
	if errors.Is(err, sql.ErrNoRows) {
		return store.Enrollment{}, &store.Fault{Doing: doing, Kind: store.ErrUnknown}
	}
	return e, fault(doing, err)
}

func (s enrollments) Enroll(ctx context.Context, device string, edit func(*store.EnrollmentDraft) error) (store.Enrollment, error) {
	doing := "enrolling device " + device
	var now store.Enrollment
	err := s.write(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
		was, err := find(ctx, tx, doing, device)
		if err != nil {
			return err
		}
		draft := store.EnrollmentDraft{Draft: store.Draft{Device: was.Device}}
		draft.Device.Labels = maps.Clone(was.Labels)
		if draft.Enrollment, err = scanEnrollment(tx.QueryRowContext(ctx, enrollment, device)); err != nil {
			return err
		}
		if err := edit(&draft); err != nil {
			return err
		}
		if err := known(ctx, tx, doing, device, &draft); err != nil {
			return err
		}
		now = draft.Enrollment
		now.Device = device
		w := newWriting(ctx, tx)
		w.enrollment(now)
		if k := draft.NewKey; k != nil {
			w.exec(`INSERT INTO enrolled_keys (key, device) VALUES (?, ?) ON CONFLICT DO NOTHING`, k, device)
		}
		if c := draft.Credential; c != nil {
			w.credential(*c)
		}
		if draft.Entry.What != "" {
			w.alter(was, draft.Device, draft.Entry)
		}
		return w.flush()
	})
	return now, err
}

// known refuses what may be there once alone.
func known(ctx context.Context, tx *sql.Tx, doing, device string, d *store.EnrollmentDraft) error {
	var n int
	if d.NewKey != nil {
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM enrolled_keys WHERE key = ? AND (device <> ? OR ended)`, d.NewKey, device).Scan(&n)
		if err != nil {
			return err
		}
	}
	if c := d.Credential; n == 0 && c != nil {
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM credentials WHERE fingerprint = ?`, c.Fingerprint[:]).Scan(&n); err != nil {
			return err
		}
	}
	if n > 0 {
		return &store.Fault{Doing: doing, Kind: store.ErrExists}
	}
	return nil
}

// enrollment keeps one.
func (w *writing) enrollment(e store.Enrollment) {
	asked, err := json.Marshal(e.Asked)
	if len(e.Asked) == 0 {
		asked = []byte("[]")
	}
	if err != nil && w.err == nil {
		w.err = err
	}
	w.exec(`INSERT INTO enrollments (device, claim, secret, pin, asked, chain, sealed_key, taken, fingerprint, delivered, acknowledged)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
		ON CONFLICT (device) DO UPDATE SET claim = ?2, secret = ?3, pin = ?4, asked = ?5, chain = ?6, sealed_key = ?7, taken = ?8,
			fingerprint = ?9, delivered = ?10, acknowledged = ?11`,
		e.Device, e.Claim, e.Secret, e.Key, string(asked), e.Chain, e.SealedKey, e.Taken, e.Fingerprint,
		store.Milli(e.Delivered), store.Milli(e.Acknowledged))
}

// end forgets what a device's credentials were got by.
func (w *writing) end(device string) {
	w.exec(`UPDATE credentials SET state = 'revoked' WHERE device = ? AND state = 'valid'`, device)
	w.exec(`DELETE FROM enrollments WHERE device = ?`, device)
	w.exec(`UPDATE enrolled_keys SET ended = 1 WHERE device = ?`, device)
}

func (s enrollments) Waiting(ctx context.Context, after string, limit int) ([]store.Enrollment, error) {
	const doing = "listing enrollments that wait"
	rows, err := s.reader.QueryContext(ctx, `SELECT `+enrollmentColumns+` FROM enrollments e JOIN devices d ON d.id = e.device
		WHERE e.asked <> '[]' AND e.device > ? ORDER BY e.device LIMIT ?`, after, limit)
	if err != nil {
		return nil, fault(doing, err)
	}
	defer rows.Close()
	var all []store.Enrollment
	for rows.Next() {
		e, err := scanEnrollment(rows)
		if err != nil {
			return nil, fault(doing, err)
		}
		all = append(all, e)
	}
	return all, fault(doing, rows.Err())
}

func (s enrollments) Acknowledge(ctx context.Context, fingerprint [32]byte, at time.Time) error {
	const doing = "noting that a certificate is used"
	var n int
	err := s.reader.QueryRowContext(ctx, `SELECT count(*) FROM enrollments WHERE fingerprint = ? AND acknowledged = 0`, fingerprint[:]).Scan(&n)
	if err != nil || n == 0 {
		return fault(doing, err)
	}
	return s.write(ctx, doing, func(ctx context.Context, tx *sql.Tx) error {
		w := newWriting(ctx, tx)
		w.exec(`UPDATE enrollments SET acknowledged = ? WHERE fingerprint = ? AND acknowledged = 0`, store.Milli(at), fingerprint[:])
		return w.flush()
	})
}
