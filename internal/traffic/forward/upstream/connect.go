package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// A made is a new connection to a target.
type made struct {
	tcp  *net.TCPConn
	conn net.Conn     // what is read from and written to: tcp directly, or tls
	tls  *secure.Conn // nil: the target is reached without TLS
}

// connect makes a connection: TCP, the header of own if that is not nil, TLS if
// the target is reached over it: for protocol, if that is known. It takes no longer
// than timeout, and is counted if it cannot be made.
func (t *Target) connect(ctx context.Context, timeout time.Duration, own *privatePool, protocol string) (*made, error) {
	m, err := t.reach(ctx, timeout, own, protocol)
	if err != nil && (ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
		t.failed(err)
	}
	if err == nil && t.protocol == "tcp" || err == nil && t.protocol == "tls" { // no answer will tell
		t.Report(Reached)
	}
	return m, err
}

// failed counts a connection that is of no use.
func (t *Target) failed(err error) {
	t.connectErrors.Add(1)
	t.fleet.config.OnConnectError(t.group, t.address, err)
	t.Report(Failed)
}

func (t *Target) reach(ctx context.Context, timeout time.Duration, own *privatePool, protocol string) (*made, error) {
	// The dialer's defaults are what we want: TCP_NODELAY, keep-alive probes.
	d := net.Dialer{Timeout: timeout}
	by := time.Now().Add(timeout)
	c, err := d.DialContext(ctx, "tcp", t.address)
	if err == nil && own != nil {
		err = own.announce(c, timeout)
	}
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("a TCP connection was dialed, got a %T", c)
	}
	if err := t.keepAlive.Load().Apply(tcp); err != nil {
		tcp.Close()
		return nil, err
	}
	m := &made{tcp: tcp, conn: direct.Wrap(tcp)}
	if t.overTLS {
		err = t.secure(ctx, m, by, protocol)
	}
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return m, nil
}

// secure makes m one over TLS.
func (t *Target) secure(ctx context.Context, m *made, by time.Time, protocol string) error {
	client := t.client.Load()
	if client == nil {
		return errPlain
	}
	ctx, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	direct.Hold(m.conn)
	conn, err := client.Handshake(ctx, m.conn, t.address, protocol)
	if err != nil {
		return err
	}
	// The last message of the handshake leaves with the first of the exchange.
	direct.Release(m.conn, false)
	conn.OnRefusal = func(d *countersign.Denial) { t.failed(d) }
	m.conn, m.tls = conn, conn
	return nil
}

// errPlain is the error of a connection that would have to be without TLS.
var errPlain = errors.New("the target is to be reached over TLS, and it is not said how; this is a fault in countersign, please report it")

// secured is what a connection over TLS rests on.
type secured struct {
	tls    *secure.Conn // nil: it is not over TLS
	target *Target
}

// current reports whether the connection may serve another exchange: it was made
// as the configuration in force would make it, and the target is still known to
// be whom it was taken for.
func (s *secured) current(now time.Time) bool {
	if s.tls == nil {
		return true
	}
	until := s.tls.GoodUntil()
	return s.tls.Client() == s.target.client.Load() && (until.IsZero() || !now.After(until))
}

// checking asks as the configuration in force does: a certificate that was renewed
// is no other check.
type checking struct{ *Target }

func (c checking) Check(ctx context.Context, address string) health.Result {
	return (*c.checker.Load()).Check(ctx, address)
}
