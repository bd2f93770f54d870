package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// longest is how long anything may take before a script gives up on it. Only a
// fault makes a script wait that long.
const longest = 30 * time.Second

// A stage is what a script has running beside it.
type stage struct {
	t          testscript.T // for what goes wrong after the last line of the script
	gateway    *gatewayProcess
	backends   map[string]*backend
	webs       map[string]*web
	responders map[string]*responder
	clients    map[string]*device
	issuers    map[string]jose.JSONWebKey
}

type stageKey struct{}

func setUpStage(env *testscript.Env) error {
	if os.Getenv("GORACE") == "" { // under -race every command would take a second to end
		env.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	if env.Getenv("STORE") == "" {
		env.Setenv("STORE", "sqlite")
	}
	env.Values[stageKey{}] = &stage{t: env.T(), backends: map[string]*backend{}, webs: map[string]*web{}, responders: map[string]*responder{}, clients: map[string]*device{}}
	return nil
}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

// A gatewayProcess is a countersign that serves.
type gatewayProcess struct {
	cmd   *exec.Cmd
	log   string        // the file
	ended chan struct{} // closed when it has
	err   error         // of Wait, once it has ended
	seen  bool          // the script has looked at its end
}

// cmdServe is "serve FILE": countersign serve -c FILE in the background, with
// its output in gateway.out and its program log in gateway.log. It returns when
// the gateway tells systemd that it is ready. A listener called NAME is then
// found at $NAME in upper case, host and port; the admin address at $ADMIN.
//
// A gateway that still runs at the end of a script has to drain and exit with 0.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	s := stageOf(ts)
	if s.gateway != nil {
		ts.Fatalf("a gateway is running already: \"ended\" waits for its end")
	}
	// An abstract address, chosen by the kernel.
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { systemd.Close() })
	ts.Setenv("NOTIFY_SOCKET", systemd.LocalAddr().String())

	program, err := exec.LookPath("countersign")
	ts.Check(err)
	cmd := exec.Command(program, "serve", "-c", args[0])
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environment(ts)
	out, err := os.OpenFile(ts.MkAbs("gateway.out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer out.Close()
	log, err := os.Create(ts.MkAbs("gateway.log"))
	ts.Check(err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = out, log
	ts.Check(cmd.Start())
	p := &gatewayProcess{cmd: cmd, log: log.Name(), ended: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.ended) }()
	s.gateway = p
	ts.Defer(func() { p.leave(s.t) })

	go func() { // a gateway that ends will not say anything any more
		<-p.ended
		systemd.SetReadDeadline(time.Now())
	}()
	if err := awaitReady(systemd); err != nil {
		ts.Fatalf("the gateway did not become ready: %v\n%s", err, ts.ReadFile("gateway.log"))
	}
	for _, m := range listening.FindAllStringSubmatch(ts.ReadFile("gateway.log"), -1) {
		name := "ADMIN"
		if m[1] != "" {
			name = strings.ToUpper(m[1])
		}
		ts.Setenv(name, m[2])
	}
}

var listening = regexp.MustCompile(`msg="?listening(?: for operators"| listener=(\S+)) address=\S+ bound=(\S+)`)

func awaitReady(systemd *net.UnixConn) error {
	if err := systemd.SetReadDeadline(time.Now().Add(longest)); err != nil {
		return err
	}
	buf := make([]byte, 1024)
	for {
		n, err := systemd.Read(buf)
		if err != nil {
			return err
		}
		if string(buf[:n]) == "READY=1" {
			return nil
		}
	}
}

// environment is what the script's variables are at the moment.
func environment(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, name := range []string{"NOTIFY_SOCKET", "TMPDIR", "HOME", "GORACE", "STORE"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	for name, w := range stageOf(ts).webs {
		env = append(env, name+"="+w.address)
	}
	for name, r := range stageOf(ts).responders {
		env = append(env, name+"=127.0.0.1:"+r.port)
	}
	for name, b := range stageOf(ts).backends {
		env = append(env, name+"="+b.address, name+"_PORT="+b.address[strings.LastIndexByte(b.address, ':')+1:])
	}
	return env
}

// leave ends the gateway when the script does. One that has crashed behind the
// script's back is found here.
func (p *gatewayProcess) leave(t testscript.T) {
	if p.seen {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.wait(); err != nil {
		log, _ := os.ReadFile(p.log)
		t.Fatal(fmt.Sprintf("the gateway did not end well: %v\n%s", err, log))
	}
}

// wait returns how the gateway ended, which it has to in good time.
func (p *gatewayProcess) wait() error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(longest):
		p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("it did not end within %s", longest)
	}
}

// cmdSignal is "signal HUP|USR1|TERM|INT": to the gateway.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	numbers := map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}
	if neg || len(args) != 1 || numbers[args[0]] == 0 {
		ts.Fatalf("usage: signal HUP|USR1|TERM|INT")
	}
	p := stageOf(ts).gateway
	if p == nil {
		ts.Fatalf("no gateway is running")
	}
	ts.Check(p.cmd.Process.Signal(numbers[args[0]]))
}

// cmdEnded is "[!] ended": waits for the end of the gateway, with exit status 0
// or, after !, another one.
func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if len(args) != 0 || s.gateway == nil {
		ts.Fatalf("usage: [!] ended, after serve")
	}
	err := s.gateway.wait()
	s.gateway.seen = true
	s.gateway = nil
	switch {
	case err != nil && !neg:
		ts.Fatalf("the gateway ended badly: %v\n%s", err, ts.ReadFile("gateway.log"))
	case err == nil && neg:
		ts.Fatalf("the gateway ended with exit status 0")
	}
}

// cmdWaitfor is "waitfor FILE PATTERN [COUNT]": waits until the file, the files that
// FILE matches together, or the page where FILE is an http:// address, has (COUNT) matches of the regular expression,
// with ^ and $ at every line.
func cmdWaitfor(ts *testscript.TestScript, neg bool, args []string) {
	count := 1
	if len(args) == 3 {
		if _, err := fmt.Sscan(args[2], &count); err != nil {
			ts.Fatalf("waitfor: count %q: %v", args[2], err)
		}
		args = args[:2]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE|URL PATTERN [COUNT]")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	var data []byte
	for deadline := time.Now().Add(longest); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		data, err = look(ts, args[0])
		if err == nil && len(pattern.FindAll(data, count)) >= count {
			return
		}
	}
	ts.Fatalf("%s has no %d matches of %q: %v\n%s", args[0], count, args[1], err, data)
}

func look(ts *testscript.TestScript, where string) ([]byte, error) {
	if !strings.HasPrefix(where, "http://") {
		files, err := filepath.Glob(ts.MkAbs(where))
		if err == nil && len(files) == 0 { // which is not an empty file: "^$" waits for that
			err = fs.ErrNotExist
		}
		var all []byte
		for _, file := range files {
			data, failed := os.ReadFile(file)
			all, err = append(all, data...), errors.Join(err, failed)
		}
		return all, err
	}
	response, err := http.Get(where)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}
