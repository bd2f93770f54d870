package reach

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/traffic/keepalive"
	"countersign.dev/internal/traffic/socket"
)

// ErrDeregistered is the error of a connection to a target that was removed and
// whose deregistration delay is over.
var ErrDeregistered = errors.New("the target was removed from the configuration")

// A Config is what never changes about the way to a target.
type Config struct {
	Address string           // host:port
	OverTLS bool             // or else never
	Now     func() time.Time // the clock that connections grow old by

	// Failed is told of each connection that could not be made, or that turned
	// out to be of no use: the error is the dialer's, or a *countersign.Denial
	// about TLS.
	Failed func(error)
	// Reached is told of each connection that was made; nil: nobody wants to know.
	Reached func()
}

// A Way is how one target is reached.
type Way struct {
	Config
	keepAlive atomic.Pointer[keepalive.Settings]
	client    atomic.Pointer[secure.Client] // of the configuration in force; nil: without TLS
}

// New returns the way that c describes, without the settings of Configure.
func New(c Config) *Way { return &Way{Config: c} }

// Configure takes the settings of a new configuration, for connections that are
// made from now on. What was made with another client is not current any more.
func (w *Way) Configure(client *secure.Client, keepAlive *keepalive.Settings) {
	w.client.Store(client)
	w.keepAlive.Store(keepAlive)
}

// A Made is a new connection to a target.
type Made struct {
	TCP     socket.Conn
	Conn    net.Conn // what is read from and written to: TCP directly, or over TLS
	Secured Secured
}

// An Opening is what one connection begins with.
type Opening struct {
	Timeout  time.Duration // how long it may take
	Header   []byte        // before all else; nil: nothing
	Protocol string        // as for secure.Client.Handshake
	Listens  bool          // perhaps it is the target that speaks first
}

// Connect makes a connection: TCP, the header if there is one, TLS if the target
// is reached over it. Failed is told if it cannot be made, unless ctx was canceled.
func (w *Way) Connect(ctx context.Context, o Opening) (*Made, error) {
	m, err := w.connect(ctx, o)
	if err != nil && (ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
		w.Failed(err)
	}
	if err == nil && w.Reached != nil {
		w.Reached()
	}
	return m, err
}

func (w *Way) connect(ctx context.Context, o Opening) (*Made, error) {
	by := time.Now().Add(o.Timeout)
	tcp, err := socket.Dial(ctx, w.Address, o.Timeout, o.Header != nil || w.OverTLS || !o.Listens)
	if err == nil && o.Header != nil {
		err = announce(tcp, o.Header, o.Timeout)
	}
	if err != nil {
		return nil, err
	}
	if err := w.keepAlive.Load().Apply(tcp); err != nil {
		tcp.Close()
		return nil, err
	}
	m := &Made{TCP: tcp, Conn: direct.Wrap(tcp), Secured: Secured{way: w}}
	if w.OverTLS {
		err = w.secure(ctx, m, by, o.Protocol)
	}
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return m, nil
}

// announce writes the header to a new connection, or closes it.
func announce(c net.Conn, header []byte, timeout time.Duration) error {
	err := c.SetWriteDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = c.Write(header)
	}
	if err == nil {
		err = c.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
	}
	return err
}

// secure makes m one over TLS.
func (w *Way) secure(ctx context.Context, m *Made, by time.Time, protocol string) error {
	client := w.client.Load()
	if client == nil {
		return errPlain
	}
	ctx, cancel := context.WithDeadline(ctx, by)
	defer cancel()
	direct.Hold(m.Conn)
	conn, err := client.Handshake(ctx, m.Conn, w.Address, protocol)
	if err != nil {
		return err
	}
	// The last message of the handshake leaves with the first of the exchange.
	direct.Release(m.Conn, false)
	conn.OnRefusal = func(d *countersign.Denial) { w.Failed(d) }
	m.Conn, m.Secured.TLS = conn, conn
	return nil
}

// errPlain is the error of a connection that would have to be without TLS.
var errPlain = errors.New("the target is to be reached over TLS, and it is not said how; this is a fault in countersign, please report it")

// Secured is what a connection over TLS rests on.
type Secured struct {
	TLS *secure.Conn // nil: it is not over TLS
	way *Way
}

// Current reports whether the connection may serve another exchange: it was made
// as the configuration in force would make it, and the target is still known to
// be whom it was taken for.
func (s *Secured) Current(now time.Time) bool {
	if s.TLS == nil {
		return true
	}
	until := s.TLS.GoodUntil()
	return s.TLS.Client() == s.way.client.Load() && (until.IsZero() || !now.After(until))
}
