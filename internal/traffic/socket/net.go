package socket

import (
	"context"
	"net"
	"time"
)

// lookUp is Dial by the net package.
func lookUp(ctx context.Context, at string, timeout time.Duration) (Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil // "tcp" is nothing else
}

// listen listens by the net package.
func listen(ctx context.Context, lc net.ListenConfig, at string) (net.Listener, error) {
	// Go's multipath TCP costs a little on every connection and no peer of
	// ours uses it; plain TCP with keep-alive is what balancers in front expect.
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", at)
}
