package sqlite

import (
	"path/filepath"
	"testing"

	"countersign.dev/internal/store"
	"countersign.dev/internal/store/storetest"
)

func TestSuite(t *testing.T)  { storetest.Run(t, fresh) }
func TestLedger(t *testing.T) { storetest.RunLedger(t, fresh) }

func fresh(t *testing.T) (*store.Store, func(t *testing.T) *store.Store) {
	path := filepath.Join(t.TempDir(), "data", "countersign.db")
	again := func(t *testing.T) *store.Store { return open(t, Config{Path: path}) }
	return again(t), again
}

func open(t testing.TB, cfg Config) *store.Store {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
