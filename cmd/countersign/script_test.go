package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign.dev/internal/testrequire"
)

// TestMain lets a script call countersign as a program: the test binary runs
// itself under that name and goes through run, as main does.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"countersign": func() {
			os.Exit(run(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
		},
	})
}

// TestScripts runs every behavior in testdata/script: one file each, named as
// a sentence. Besides testscript's own words a script may say
//
//	[!program:openssl] skip    # fails instead where COUNTERSIGN_REQUIRE=all
//	mode 0600 FILE...          # the permission bits, exactly
//	openssl-pki DIR            # certificates of every kind, made by openssl
//	serve FILE                 # a gateway in the background; signal, ended
//	backend NAME               # something to forward to; [!] header
//	web NAME DIR CERT KEY      # files over TLS; stop
//	responder NAME DIR SIGNER  # openssl's OCSP responder; stop
//	postgres FILE              # a PostgreSQL, whose URL is in FILE
//	issuer NAME ...            # of tokens, and the tokens
//	aged DIR DATA NAME=ID...   # devices whose certificates have expired
//	client NAME ...            # a connection that is kept
//	waitfor FILE PATTERN       # until the file says so
//
// Each is described where it is implemented, in script_*_test.go.
func TestScripts(t *testing.T) {
	p := words(t)
	p.Dir = "testdata/script"
	testscript.Run(t, p)
}

// TestScriptsOnPostgreSQL runs those scripts again that keep what they keep in
// $STORE, which is sqlite else.
func TestScriptsOnPostgreSQL(t *testing.T) {
	p := words(t)
	p.Files = []string{"testdata/script/a-device-initializes-itself-with-every-answer.txt"}
	p.Setup = func(env *testscript.Env) error {
		env.Setenv("STORE", testrequire.PostgreSQL(t))
		return setUpStage(env)
	}
	testscript.Run(t, p)
}

// words are what a script may say.
func words(t *testing.T) testscript.Params {
	pki := &opensslPKI{dir: t.TempDir()}
	return testscript.Params{
		RequireUniqueNames: true,
		Condition:          holds,
		Setup:              setUpStage,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode":        mode,
			"openssl-pki": pki.cmdOpensslPKI,
			"serve":       cmdServe,
			"signal":      cmdSignal,
			"ended":       cmdEnded,
			"waitfor":     cmdWaitfor,
			"backend":     cmdBackend,
			"header":      cmdHeader,
			"client":      cmdClient,
			"web":         cmdWeb,
			"responder":   cmdResponder,
			"postgres":    cmdPostgres,
			"aged":        cmdAged,
			"issuer":      cmdIssuer,
		},
	}
}

func holds(cond string) (bool, error) {
	program, ok := strings.CutPrefix(cond, "program:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q: only program:NAME is known here", cond)
	}
	if _, err := exec.LookPath(program); err == nil {
		return true, nil
	}
	if os.Getenv("COUNTERSIGN_REQUIRE") == "all" {
		return false, fmt.Errorf("%s is not installed and COUNTERSIGN_REQUIRE=all demands it", program)
	}
	return false, nil
}

func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode 0600 FILE...")
	}
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
	}
}
