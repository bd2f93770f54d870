package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"countersign.dev/internal/traffic/socket"
)

// A Gate bounds how many connections a node holds. Its zero value lets none in.
type Gate struct {
	limit atomic.Int64
	open  atomic.Int64
}

// SetLimit changes the bound; connections beyond a lower one are not cut.
func (g *Gate) SetLimit(n int) { g.limit.Store(int64(n)) }

// Limit is the bound in force.
func (g *Gate) Limit() int { return int(g.limit.Load()) }

// Open is how many connections are inside.
func (g *Gate) Open() int { return int(g.open.Load()) }

// Enter admits one connection or reports that the node is full.
func (g *Gate) Enter() bool {
	if g.open.Add(1) > g.limit.Load() {
		g.open.Add(-1)
		return false
	}
	return true
}

// Leave gives a place back.
func (g *Gate) Leave() { g.open.Add(-1) }

// A Socket is one listening TCP socket.
type Socket struct {
	ln      *socket.Listener
	address string
}

// probes find out which clients are gone without a word.
var probes = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 15 * time.Second, Count: 9}

// Open listens on address ("host:port", ":port", port 0 for any), even if one of
// leaving, which are about to be closed, is in the way: the listener at
// 192.0.2.1:8443 that was at :8443. Its error is the net package's.
func Open(ctx context.Context, address string, leaving ...*Socket) (*Socket, error) {
	ln, err := socket.Listen(ctx, address, probes)
	if errors.Is(err, syscall.EADDRINUSE) && len(leaving) > 0 {
		listeners := make([]*socket.Listener, len(leaving))
		for i, s := range leaving {
			listeners[i] = s.ln
		}
		ln, err = socket.ListenBeside(ctx, address, probes, listeners)
	}
	if err != nil {
		return nil, err
	}
	return &Socket{ln: ln, address: address}, nil
}

// Address is the address as it was asked for.
func (s *Socket) Address() string { return s.address }

// Addr is the address as it is bound.
func (s *Socket) Addr() net.Addr { return s.ln.Addr() }

// Serve accepts until the socket is closed and hands every connection to
// handle, which must not block. Passing faults (too many open files) are
// reported to report and waited out, because a listener that gives up locks
// everybody out.
func (s *Socket) Serve(handle func(socket.Conn), report func(error)) {
	const longest = time.Second
	pause := 5 * time.Millisecond
	for {
		conn, err := s.ln.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			handle(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if errors.Is(err, syscall.ECONNABORTED) {
			continue // the peer went away between its SYN and our accept
		}
		report(fmt.Errorf("accept on %s: %w; trying again in %s", s.address, err, pause))
		time.Sleep(pause)
		pause = min(2*pause, longest)
	}
}

// Close stops accepting. Serve returns soon after.
func (s *Socket) Close() { s.ln.Close() }
