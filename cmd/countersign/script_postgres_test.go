package main

import (
	"context"
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign.dev/internal/pgserver"
)

// cmdPostgres starts a PostgreSQL of the script's own, whose URL is in FILE then:
//
//	postgres FILE
func cmdPostgres(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: postgres FILE")
	}
	initdb, err := exec.LookPath("initdb")
	ts.Check(err)
	postgres, err := exec.LookPath("postgres")
	ts.Check(err)
	server, err := pgserver.Start(context.Background(), pgserver.Config{Initdb: initdb, Postgres: postgres, Settings: []string{"fsync=off", "autovacuum=off"}})
	ts.Check(err)
	ts.Defer(func() { ts.Check(server.Stop()) })
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(server.URL()+"\n"), 0o600))
}
