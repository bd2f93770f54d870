package listen_test

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"countersign.dev/internal/traffic/listen"
	"countersign.dev/internal/traffic/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Deny when unsure: a Gate that nobody set lets nobody in.
func TestTheZeroGateLetsNobodyIn(t *testing.T) {
	var g listen.Gate
	if g.Enter() || g.Open() != 0 {
		t.Errorf("one is in; %d are counted", g.Open())
	}
}

func TestAGateNeverHoldsMoreThanItsLimit(t *testing.T) {
	var g listen.Gate
	const limit, callers = 7, 50
	g.SetLimit(limit)
	var running sync.WaitGroup
	in := make(chan bool, callers)
	for range callers {
		running.Go(func() { in <- g.Enter() })
	}
	running.Wait()
	close(in)
	n := 0
	for ok := range in {
		if ok {
			n++
		}
	}
	if n != limit || g.Open() != limit {
		t.Errorf("%d were let in and %d are counted, want %d", n, g.Open(), limit)
	}
	g.Leave()
	if !g.Enter() || g.Enter() {
		t.Error("a place that was given back is not one place")
	}
	g.SetLimit(1)
	if g.Enter() || g.Open() != limit {
		t.Errorf("a lower limit lets one in, or cut: %d inside", g.Open())
	}
}

func TestASocketServesUntilItIsClosed(t *testing.T) {
	s, err := listen.Open(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.Address() != "127.0.0.1:0" || s.Addr().(*net.TCPAddr).Port == 0 {
		t.Errorf("asked for %s, bound to %s", s.Address(), s.Addr())
	}
	conns, done := make(chan socket.Conn), make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(func(c socket.Conn) { conns <- c }, func(err error) { t.Error(err) })
	}()
	for range 3 {
		client, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		(<-conns).Close()
		client.Close()
	}
	s.Close()
	<-done
	if _, err := net.Dial("tcp", s.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a closed socket answers: %v", err)
	}
}
