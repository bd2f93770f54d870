//go:build !linux || 386 || s390x

package socket

import (
	"context"
	"net"
	"time"
)

// A Listener is a listening socket. One goroutine accepts.
type Listener struct{ ln net.Listener }

// Listen listens on at ("host:port"). Who is accepted is probed after k.Idle.
func Listen(ctx context.Context, at string, k net.KeepAliveConfig) (*Listener, error) {
	ln, err := listen(ctx, net.ListenConfig{KeepAlive: k.Idle}, at)
	if err != nil {
		return nil, err
	}
	return &Listener{ln}, nil
}

// ListenBeside is Listen: here nobody shares a port.
func ListenBeside(ctx context.Context, at string, k net.KeepAliveConfig, _ []*Listener) (*Listener, error) {
	return Listen(ctx, at, k)
}

// Addr is the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Close ends listening; Accept returns net.ErrClosed.
func (l *Listener) Close() error { return l.ln.Close() }

// Accept waits for the next connection.
func (l *Listener) Accept() (Conn, error) {
	c, err := l.ln.Accept()
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil // "tcp" is nothing else
}

// Dial connects to at ("host:port") before ctx ends, and in no more than timeout.
func Dial(ctx context.Context, at string, timeout time.Duration, _ bool) (Conn, error) {
	return lookUp(ctx, at, timeout)
}

// Splice moves bytes from one connection to the other until there are no more,
// which is no error, or until the read deadline, which is os.ErrDeadlineExceeded.
// moved is told of each piece that has gone to the other, whose faults are a
// *WriteError.
func Splice(to, from Conn, moved func(n int)) error { return copied(to, from, moved) }
