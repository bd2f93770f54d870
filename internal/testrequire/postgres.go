package testrequire

import (
	"testing"

	"countersign.dev/internal/pgserver"
)

// PostgreSQL runs a server of the test's own, reachable through a Unix socket
// alone, and returns the URL of its empty database. settings are as for -c of
// postgres: fsync=on. It ends with the test.
func PostgreSQL(t testing.TB, settings ...string) string {
	t.Helper()
	s, err := pgserver.Start(t.Context(), pgserver.Config{
		Initdb: Program(t, "initdb"), Postgres: Program(t, "postgres"),
		Settings: append([]string{"fsync=off", "autovacuum=off", "max_connections=200"}, settings...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s.URL()
}
