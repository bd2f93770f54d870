package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A backend is what a gateway forwards to. It takes requests without bodies, or
// with bodies of a length that is told, with no HTTP library between: what it
// writes down is what it got.
type backend struct {
	address  string
	listener net.Listener
	dir      string
	name     string
	running  sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]bool // nil: stopped
	release chan struct{}     // closed: requests for /held are answered
}

// cmdBackend is about a backend called NAME, found at $NAME; a
// configuration has its port at ${NAME_PORT}, too:
//
//	backend NAME           starts it; again, after stop, at the same address
//	backend NAME release   lets it answer the requests for /held
//	backend NAME stop      connections to it are refused from now on
//
// It answers 200 with its name. The head of every request goes to NAME.heads,
// octet by octet, before the answer, its body to NAME.bodies. /healthz is not written down, and is
// answered 503 while there is a file NAME.sick.
func cmdBackend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: backend NAME [release|stop]")
	}
	s := stageOf(ts)
	b := s.backends[args[0]]
	switch {
	case len(args) == 1:
		if b == nil {
			b = &backend{name: args[0], dir: ts.MkAbs("."), address: keptAddress(ts)}
			s.backends[b.name] = b
			ts.Check(os.WriteFile(b.file(".heads"), nil, 0o600))
			ts.Defer(b.stop)
		}
		ts.Check(b.start())
		ts.Setenv(b.name, b.address)
	case b == nil:
		ts.Fatalf("there is no backend %s", args[0])
	case args[1] == "release":
		close(b.release)
	case args[1] == "stop":
		b.stop()
	default:
		ts.Fatalf("backend %s: %q is neither release nor stop", args[0], args[1])
	}
}

func (b *backend) file(suffix string) string { return b.dir + "/" + b.name + suffix }

func (b *backend) start() error {
	listener, err := net.Listen("tcp", b.address)
	// A program that another script is just starting has our descriptors until it runs,
	// those of a socket too that we have closed meanwhile.
	for end := time.Now().Add(5 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		listener, err = net.Listen("tcp", b.address)
	}
	if err != nil {
		return err
	}
	b.listener = listener
	b.conns, b.release = map[net.Conn]bool{}, make(chan struct{})
	b.running.Go(func() {
		for {
			conn, err := b.listener.Accept()
			if err != nil || !b.hold(conn) {
				return
			}
			b.running.Go(func() { b.serve(conn) })
		}
	})
	return nil
}

func (b *backend) hold(conn net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conns == nil {
		conn.Close()
		return false
	}
	b.conns[conn] = true
	return true
}

func (b *backend) stop() {
	if b.listener == nil {
		return // it was never there
	}
	b.mu.Lock()
	b.listener.Close()
	for conn := range b.conns {
		conn.Close()
	}
	if b.conns != nil {
		select {
		case <-b.release:
		default:
			close(b.release)
		}
	}
	b.conns = nil
	b.mu.Unlock()
	b.running.Wait()
}

func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		var head []byte
		for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			head = append(head, line...)
		}
		if err := b.takeBody(r, head); err != nil {
			return
		}
		if _, err := conn.Write(b.answer(head)); err != nil {
			return
		}
	}
}

// takeBody writes the body down, if there is one.
func (b *backend) takeBody(r io.Reader, head []byte) error {
	m := bodyLength.FindSubmatch(head)
	if m == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := os.OpenFile(b.file(".bodies"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(f, r, n)
	return err
}

var bodyLength = regexp.MustCompile(`(?i)\r\nContent-Length: ([0-9]+)\r\n`)

func (b *backend) answer(head []byte) []byte {
	line, _, _ := strings.Cut(string(head), "\r\n")
	status, body := "200 OK", "hello from "+b.name+"\n"
	if strings.HasPrefix(line, "GET /healthz ") {
		if _, err := os.Stat(b.file(".sick")); err == nil {
			status = "503 Service Unavailable"
		}
	} else if err := b.record(head); err != nil {
		status, body = "500 Internal Server Error", err.Error()+"\n"
	}
	if strings.Contains(line, " /held ") {
		<-b.release
	}
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func (b *backend) record(head []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := os.OpenFile(b.file(".heads"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(head)
	return err
}
