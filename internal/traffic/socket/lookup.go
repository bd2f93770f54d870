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
