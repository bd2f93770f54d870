package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// A responder is openssl's for OCSP.
type responder struct {
	port string
	stop func()
}

var accepts = regexp.MustCompile(`^ACCEPT .*:([0-9]+) PID`)

// cmdResponder is about an OCSP responder called NAME, found at http://$NAME:
//
//	responder NAME DIR SIGNER   starts it; again, after stop, at the same address
//	responder NAME stop         connections to it are refused from now on
//
// It answers for the intermediate of the openssl-pki in DIR, by its index.txt,
// as SIGNER.crt, with answers that count for a minute.
func cmdResponder(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 && len(args) != 3 {
		ts.Fatalf("usage: responder NAME DIR SIGNER, responder NAME stop")
	}
	s := stageOf(ts)
	r := s.responders[args[0]]
	if len(args) == 2 {
		r.stop()
		return
	}
	if r == nil {
		r = &responder{port: "0"}
		s.responders[args[0]] = r
	}
	cmd := exec.Command("openssl", "ocsp", "-index", "index.txt", "-CA", "intermediate.crt", "-port", r.port,
		"-rsigner", args[2]+".crt", "-rkey", args[2]+".key", "-nmin", "1")
	cmd.Dir = ts.MkAbs(args[1])
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs(args[0]+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd.Stderr = log
	ts.Check(cmd.Start())
	r.stop = sync.OnceFunc(func() { cmd.Process.Signal(syscall.SIGKILL); cmd.Wait() })
	ts.Defer(r.stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	found := accepts.FindStringSubmatch(line)
	if found == nil {
		ts.Fatalf("openssl ocsp says %q", line)
	}
	go io.Copy(io.Discard, out) // ends with the program
	r.port = found[1]
	ts.Setenv(args[0], "127.0.0.1:"+r.port)
}
