package postgres

import (
	"fmt"
	"net/url"
	"testing"

	"countersign.dev/internal/store"
	"countersign.dev/internal/store/storetest"
	"countersign.dev/internal/testrequire"
	"github.com/jackc/pgx/v5"
)

func TestSuite(t *testing.T)  { storetest.Run(t, fresh(t, "suite")) }
func TestLedger(t *testing.T) { storetest.RunLedger(t, fresh(t, "ledger")) }

func fresh(t *testing.T, name string) func(t *testing.T) (*store.Store, func(t *testing.T) *store.Store) {
	server := testrequire.PostgreSQL(t)
	n := 0
	return func(t *testing.T) (*store.Store, func(t *testing.T) *store.Store) {
		n++
		at := database(t, server, fmt.Sprintf("%s%d", name, n))
		again := func(t *testing.T) *store.Store { return open(t, Config{URL: at}) }
		return again(t), again
	}
}

// database makes an empty one.
func database(t testing.TB, server, name string) string {
	t.Helper()
	c := connect(t, server)
	if _, err := c.Exec(t.Context(), `CREATE DATABASE `+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func connect(t testing.TB, at string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
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
