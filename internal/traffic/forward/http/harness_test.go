package http_test

import (
	"bufio"
	"context"
	"io"
	"net"
	nethttp "net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/wire/http1"
)

// A bench is one listener's worth of engine between a client and targets, all
// over real sockets on loopback.
type bench struct {
	t       testing.TB
	set     http.Settings
	group   *upstream.Group
	results chan http.Result
	denials chan *countersign.Denial
	address string
}

type option func(*http.Settings, *upstream.GroupConfig)

// start serves the targets at these addresses through the engine.
func start(t testing.TB, targets []string, options ...option) *bench {
	t.Helper()
	plan, err := idheader.Compile(idheader.Config{Dialects: []idheader.Dialect{idheader.AWS}})
	if err != nil {
		t.Fatal(err)
	}
	set := http.Settings{Identity: plan, // as the configuration's defaults
		Request:   http1.Limits{Line: 16 << 10, Field: 16 << 10, Head: 80 << 10},
		Response:  http1.Limits{Line: 32 << 10, Field: 32 << 10, Head: 32 << 10},
		Forwarded: http.ForwardedAppend,
		Headers:   5 * time.Second, Idle: 5 * time.Second, Wait: 5 * time.Second}
	cfg := upstream.GroupConfig{Name: "test", Targets: targets, FailOpen: true}
	for _, o := range options {
		o(&set, &cfg)
	}
	fleet := upstream.NewFleet(upstream.FleetConfig{})
	groups, err := fleet.Apply([]upstream.GroupConfig{cfg})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, set: set, group: groups["test"],
		results: make(chan http.Result, 1024), denials: make(chan *countersign.Denial, 1024)}
	ln := listen(t)
	b.address = ln.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		fleet.Close(ctx)
		running.Wait()
	})
	return b
}

// serve is the pipeline in small: every request is granted to the group.
func (b *bench) serve(conn net.Conn) {
	f := http.NewFront(conn.(*net.TCPConn), netip.MustParseAddrPort("192.0.2.7:4711"), true)
	x := http.Exchange{Grant: grant(b.t, b.group), Identity: []byte("X-Amzn-Mtls-Clientcert-Subject: CN=test\r\n"), Port: 8443}
	for {
		ok, denial := f.Next(&b.set)
		if !ok && denial == nil {
			f.Finish(false)
			return
		}
		if denial != nil {
			b.denials <- denial
			f.Refuse(denial, true)
			f.Finish(true)
			return
		}
		res := f.Forward(&x)
		if res.Denial != nil && !res.Answered {
			closing := res.Unread
			f.Refuse(res.Denial, closing)
			res.KeepAlive = !closing
		}
		select {
		case b.results <- res:
		default: // nobody looks
		}
		if !res.KeepAlive {
			f.Finish(res.Unread)
			return
		}
	}
}

func grant(t testing.TB, group *upstream.Group) authorize.Grant {
	g, denial := authorize.Decide(authorize.Question{
		Policy: &handshake.Policy{Name: "test", Mode: countersign.ClientAuthOff},
		Client: identify.Anonymous(),
		Action: route.Action{Forward: group},
	})
	if denial != nil {
		t.Fatal(denial)
	}
	return g
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// target serves each connection with handle until the test ends.
func target(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln := listen(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			running.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return ln.Addr().String()
}

// server is a target that net/http serves.
func server(t testing.TB, handle nethttp.HandlerFunc) string {
	t.Helper()
	ln := listen(t)
	s := &nethttp.Server{Handler: handle}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

// replies answers every request head on a connection with the same bytes and
// hands the head to seen, if there is one.
func replies(answer string, seen chan<- string) func(net.Conn) {
	return func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			if seen != nil {
				seen <- head
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}

// readHead reads up to and including the next empty line.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String(), err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
	}
}

// dial connects to the engine.
func (b *bench) dial() *net.TCPConn {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	b.t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// send writes a request and returns everything that comes back until the engine
// closes the connection, which the request should ask for.
func (b *bench) send(request string) string {
	b.t.Helper()
	conn := b.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		b.t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		b.t.Fatalf("after %q: %v", answer, err)
	}
	return string(answer)
}
