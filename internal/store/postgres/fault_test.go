package postgres

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"countersign.dev/internal/testrequire"
)

var by = countersign.TrailEntry{Who: "operator ann", What: "add", At: time.UnixMilli(1_700_000_000_000)}

// told checks that an error is of a kind, and says what to do.
func told(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	var f *store.Fault
	if !errors.Is(err, kind) || !errors.As(err, &f) || f.Advice == "" {
		t.Fatalf("the error is %v, want %v with advice", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error %q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error %q tells the password", err)
	}
}

func TestFaults(t *testing.T) {
	server := testrequire.PostgreSQL(t)
	with := func(t *testing.T, at string, change func(*url.URL)) string {
		t.Helper()
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	one := countersign.Device{ID: "one", State: countersign.DeviceReady}

	t.Run("a connection that is gone in mid-transaction keeps nothing, and the next one works", func(t *testing.T) {
		at := database(t, server, "gone")
		s := open(t, Config{URL: at})
		if err := s.Devices.Create(t.Context(), one, by); err != nil {
			t.Fatal(err)
		}
		other := connect(t, server)
		_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
			d.Device.Notes, d.Entry = "new", by
			_, err := other.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'gone'`)
			return err
		})
		told(t, err, store.ErrAway, "altering device one")
		// Every pooled connection was ended: whoever meets the last of them is told.
		var d countersign.Device
		for range 10 {
			if d, err = s.Devices.Device(t.Context(), "one"); err == nil {
				break
			}
			told(t, err, store.ErrAway)
		}
		if err != nil || d.Notes != "" || d.Revision != 1 {
			t.Errorf("the device is %+v, %v", d, err)
		}
	})

	t.Run("a row that another transaction holds is waited for, and then said to be held", func(t *testing.T) {
		at := database(t, server, "locked")
		s := open(t, Config{URL: with(t, at, func(u *url.URL) { u.RawQuery += "&lock_timeout=50" })})
		if err := s.Devices.Create(t.Context(), one, by); err != nil {
			t.Fatal(err)
		}
		tx, err := connect(t, at).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT FROM devices FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
		alter := func() error {
			_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error { d.Entry = by; return nil })
			return err
		}
		told(t, alter(), store.ErrBusy, "try again")
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := alter(); err != nil {
			t.Error(err)
		}
	})

	t.Run("the trail cannot be edited", func(t *testing.T) {
		at := database(t, server, "edited")
		s := open(t, Config{URL: at})
		if err := s.Devices.Create(t.Context(), one, by); err != nil {
			t.Fatal(err)
		}
		c := connect(t, at)
		for _, statement := range []string{`UPDATE trail SET who = 'eve'`, `DELETE FROM trail`, `TRUNCATE trail`, `DELETE FROM devices`, `TRUNCATE devices CASCADE`,
			`INSERT INTO trail SELECT * FROM trail ON CONFLICT (device, number) DO UPDATE SET who = 'eve'`} {
			if _, err := c.Exec(t.Context(), statement); err == nil {
				t.Errorf("done: %s", statement)
			}
		}
	})

	t.Run("a change is heard of at once", func(t *testing.T) {
		at := database(t, server, "heard")
		s, other := open(t, Config{URL: at}), open(t, Config{URL: at})
		from, err := other.Changes.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Devices.Create(t.Context(), one, by); err != nil {
			t.Fatal(err)
		}
		var keys []string
		for len(keys) == 0 {
			if err := other.Changes.Wait(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if from, err = other.Changes.Since(t.Context(), from, func(c store.Change) { keys = append(keys, c.Key) }); err != nil {
				t.Fatal(err)
			}
		}
	})

	t.Run("what cannot be opened says why", func(t *testing.T) {
		open := func(at string) error {
			_, err := Open(t.Context(), Config{URL: at})
			return err
		}
		told(t, open("postgres://ann:hunter2@host:port/db"), store.ErrRefused, "cannot be read", "postgres://user@host")
		told(t, open(with(t, server, func(u *url.URL) { u.Path, u.User = "/nowhere", url.UserPassword("countersign", "hunter2") })), store.ErrRefused, "createdb")
		told(t, open(with(t, server, func(u *url.URL) { u.User = url.UserPassword("nobody", "hunter2") })), store.ErrRefused, "user and password")
		told(t, open("postgres://ann:hunter2@/db?host="+t.TempDir()), store.ErrAway, "is running")
		standby := database(t, server, "standby")
		told(t, open(with(t, standby, func(u *url.URL) { u.RawQuery += "&default_transaction_read_only=on" })), store.ErrRefused, "standby")
		newer := database(t, server, "newer")
		s, err := Open(t.Context(), Config{URL: newer})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := connect(t, newer).Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`); err != nil {
			t.Fatal(err)
		}
		told(t, open(newer), store.ErrTooNew, "version 99")
	})
}
