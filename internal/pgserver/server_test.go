package pgserver_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"countersign.dev/internal/pgserver"
	"countersign.dev/internal/testrequire"
)

func TestAServerLeavesNothingBehind(t *testing.T) {
	c := pgserver.Config{Initdb: testrequire.Program(t, "initdb"), Postgres: testrequire.Program(t, "postgres"), Settings: []string{"fsync=off"}}
	s, err := pgserver.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", s.Dir, err)
	}
}

func TestAServerThatEndsSaysWhy(t *testing.T) {
	c := pgserver.Config{Initdb: testrequire.Program(t, "initdb"), Postgres: testrequire.Program(t, "postgres"), Settings: []string{"no_such_setting=1"}}
	if _, err := pgserver.Start(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("%v", err)
	}
}
