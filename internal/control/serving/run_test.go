package serving_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"

	"countersign.dev/internal/control/serving"
)

// Whoever closes the listener for a stop knows that nobody new is answered, before
// Run has come to see that it is to end.
func TestAListenerClosedForAStop(t *testing.T) {
	for range 50 {
		l := listen(t)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- serving.Run(ctx, &http.Server{}, l) }()
		stop()
		l.Close()
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
			t.Error("somebody new is let in")
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestAListenerThatFails(t *testing.T) {
	l := listen(t)
	l.Close()
	if err := serving.Run(t.Context(), &http.Server{}, l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run: %v", err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
