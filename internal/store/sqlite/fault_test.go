package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

var by = countersign.TrailEntry{Who: "operator ann", What: "add", At: time.UnixMilli(1_700_000_000_000)}

func raw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := pool(path, 1, "immediate", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

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
}

func many(n int) iter.Seq2[[]store.Row, error] {
	return func(yield func([]store.Row, error) bool) {
		for i := 0; i < n; i += 100 {
			var rows []store.Row
			for j := range 100 {
				rows = append(rows, store.Row{ID: fmt.Sprintf("d%08d", i+j), Labels: map[string]string{"site": strings.Repeat("x", 100)}})
			}
			if !yield(rows, nil) {
				return
			}
		}
	}
}

func TestAFullDatabaseKeepsWhatItHasAndSaysSo(t *testing.T) {
	s := open(t, Config{Path: filepath.Join(t.TempDir(), "c.db"), MaxPages: 200})
	if err := s.Devices.Create(t.Context(), countersign.Device{ID: "one", State: countersign.DeviceReady}, by); err != nil {
		t.Fatal(err)
	}
	in := store.Import{Rows: many(100_000), Atomic: true, Entry: by, Done: func([]store.Row, []store.Outcome) {}}
	told(t, s.Devices.Import(t.Context(), in), store.ErrFull, "importing devices", "make room", "nothing was kept")
	p, err := s.Devices.List(t.Context(), store.Query{})
	if err != nil || len(p.Devices) != 1 {
		t.Errorf("afterwards there are %d devices, %v", len(p.Devices), err)
	}
	// There is room again for what is small.
	if err := s.Devices.Create(t.Context(), countersign.Device{ID: "two", State: countersign.DeviceReady}, by); err != nil {
		t.Error(err)
	}
}

func TestALockedDatabaseIsWaitedForAndThenSaidToBeLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	s := open(t, Config{Path: path, BusyTimeout: 50 * time.Millisecond})
	tx, err := raw(t, path).Begin()
	if err != nil {
		t.Fatal(err)
	}
	create := func() error {
		return s.Devices.Create(t.Context(), countersign.Device{ID: "one", State: countersign.DeviceReady}, by)
	}
	told(t, create(), store.ErrBusy, "adding device one", "another process", "node.store")
	// Reading goes on meanwhile.
	if _, err := s.Devices.List(t.Context(), store.Query{}); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := create(); err != nil {
		t.Error(err)
	}
}

func TestADatabaseThatGoesAwayInATransactionKeepsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	s := open(t, Config{Path: path})
	if err := s.Devices.Create(t.Context(), countersign.Device{ID: "one", State: countersign.DeviceReady}, by); err != nil {
		t.Fatal(err)
	}
	_, err := s.Devices.Update(t.Context(), "one", func(d *store.Draft) error {
		d.Device.Notes, d.Entry = "new", by
		return os.Rename(path, path+".away")
	})
	told(t, err, store.ErrAway, "put the file back")
	told(t, s.Devices.Create(t.Context(), countersign.Device{ID: "two", State: countersign.DeviceReady}, by), store.ErrAway)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Devices.Device(t.Context(), "one"); err != nil || d.Notes != "" {
		t.Errorf("the device is %+v, %v", d, err)
	}
}

func TestWhatIsNoDatabaseIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("countersign.yaml ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Path: path})
	told(t, err, store.ErrRefused, "opening "+path, "restore the latest backup")
	_, err = Open(t.Context(), Config{Path: filepath.Join(path, "c.db")})
	told(t, err, store.ErrAway, "node.data_dir")
}

func TestADatabaseOfANewerProgramIsNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	open(t, Config{Path: path}).Close()
	db := raw(t, path)
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	db.Close()
	_, err := Open(t.Context(), Config{Path: path})
	told(t, err, store.ErrTooNew, "version 99", "start the newer program")
}

func TestTheFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, Config{Path: filepath.Join(dir, "c.db")})
	if err := s.Devices.Create(t.Context(), countersign.Device{ID: "one", State: countersign.DeviceReady}, by); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if i, err := f.Info(); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), i.Mode(), err)
		}
	}
}

func TestTheTrailCannotBeEdited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.db")
	s := open(t, Config{Path: path})
	for range 2 {
		_ = s.Devices.Create(t.Context(), countersign.Device{ID: "one", State: countersign.DeviceReady}, by)
	}
	db := raw(t, path)
	for _, statement := range []string{
		`UPDATE trail SET who = 'eve'`,
		`DELETE FROM trail`,
		`INSERT INTO trail VALUES ('one', 3, 0, 'eve', '', '', '', '', '', x'00')`,
		`INSERT OR REPLACE INTO trail VALUES ('one', 1, 0, 'eve', '', '', '', '', '', x'00')`,
		`DELETE FROM devices`,
	} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("done: %s", statement)
		}
	}
	trail, err := s.Trail.Of(t.Context(), "one", 0, 10)
	if err != nil || len(trail) != 1 || trail[0].Who != by.Who {
		t.Errorf("the trail is %+v, %v", trail, err)
	}
}
