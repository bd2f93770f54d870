package serving

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// stopTimeout is how long a stop waits for answers under way.
const stopTimeout = 5 * time.Second

// Run answers on a listener until ctx is done, then lets answers under way finish
// for a few seconds. It returns nil after such a stop, for which on may have been
// closed: then nobody new is answered from that moment on.
func Run(ctx context.Context, server *http.Server, on net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(on) }()
	select {
	case err := <-failed:
		if ctx.Err() == nil {
			return err
		}
		failed <- err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // somebody does not read: cut them off
	}
	<-failed // http.ErrServerClosed, or what became of on
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
