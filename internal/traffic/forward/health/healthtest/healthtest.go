// Package healthtest holds what every health.Checker must do.
package healthtest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
)

// Run tests the checker that c describes. well serves one connection as a
// target that is well does; Run closes the connection after it.
func Run(t *testing.T, c health.Config, well func(net.Conn)) {
	t.Helper()
	checker, err := health.New(c)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("a target that is well is well, and the connection is closed", func(t *testing.T) {
		ended := make(chan struct{}, 3)
		address := Serve(t, func(conn net.Conn) {
			well(conn)
			drain(conn) // until the checker closes
			ended <- struct{}{}
		})
		for range cap(ended) {
			if r := checker.Check(t.Context(), address); r != (health.Result{OK: true}) {
				t.Fatalf("got %+v", r)
			}
			<-ended
		}
	})

	t.Run("many checks at once", func(t *testing.T) {
		address := Serve(t, well)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if r := checker.Check(t.Context(), address); !r.OK {
					t.Errorf("got %+v", r)
				}
			})
		}
		wg.Wait()
	})

	t.Run("nobody listens", func(t *testing.T) {
		want := health.Result{Code: health.FailedHealthChecks, Reason: "Health checks failed: connection refused"}
		if r := checker.Check(t.Context(), Refusing(t)); r != want {
			t.Errorf("got %+v, want %+v", r, want)
		}
	})

	t.Run("no time left", func(t *testing.T) {
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		want := health.Result{Code: health.Timeout, Reason: "Request timed out"}
		if r := checker.Check(ctx, Serve(t, well)); r != want {
			t.Errorf("got %+v, want %+v", r, want)
		}
	})
}

// Serve listens on loopback until the test ends, runs serve for each connection
// and returns the address.
func Serve(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

// Refusing returns an address on loopback where nobody listens.
func Refusing(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func drain(conn net.Conn) {
	for b := make([]byte, 1024); ; {
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}
