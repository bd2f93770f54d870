package admin

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"countersign.dev/internal/control/serving"
)

// DefaultAddress is where the server listens if it is not told otherwise.
const DefaultAddress = "127.0.0.1:9901"

// Config says what the server shows. Its zero value works: a node that is
// always ready and has no metrics.
type Config struct {
	Address string       // "": DefaultAddress
	Metrics http.Handler // nil: there is no /metrics
	API     http.Handler // of /v1/ and /openapi.json; nil: there is none
	// WellKnown answers below /.well-known/countersign/; nil: nothing is there.
	WellKnown http.Handler
	// TokenKeys answers at /.well-known/jwks.json; nil: nothing is there.
	TokenKeys http.Handler
	// TLS is asked for every connection; nil, or where it returns nil: plain HTTP.
	TLS func() *tls.Config
	// Ready returns why the node cannot take traffic yet, one sentence each; none
	// when it can.
	Ready func() []string
	// Well returns what the node lacks to serve with, one sentence each, for a
	// balancer in front that asks /healthz; none when it lacks nothing.
	Well func() []string
	// Draining reports whether the node is being stopped.
	Draining func() bool
	Logger   *slog.Logger // nil: slog.Default()
}

// A Server is bound to its address from New on, and answers while Run runs.
type Server struct {
	listener net.Listener
	secure   func() *tls.Config
	http     *http.Server
	logger   *slog.Logger
}

// New binds the address. It must be followed by Run, or by Close.
func New(c Config) (*Server, error) {
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	l, err := net.Listen("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", c.Address, err)
	}
	return &Server{
		listener: l,
		secure:   c.TLS,
		logger:   c.Logger,
		http: &http.Server{
			Handler:           newHandler(c),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(c.Logger.Handler(), slog.LevelDebug),
		},
	}, nil
}

// Addr is the address that New bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run answers until ctx is done, then lets answers under way finish for a few
// seconds. It returns nil after such a stop.
func (s *Server) Run(ctx context.Context) error {
	if a, err := netip.ParseAddrPort(s.Addr().String()); err == nil && !a.Addr().Unmap().IsLoopback() {
		s.logger.Warn("the admin address can be reached from other machines, and /metrics asks for no credentials; bind it to 127.0.0.1 or let a firewall guard it",
			"address", s.Addr().String())
	}
	if err := serving.Run(ctx, s.http, secured{s.listener, s.secure}); err != nil {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

// Close gives the address back, instead of Run or when its ctx is done.
func (s *Server) Close() error { return s.listener.Close() }

// secured speaks TLS where it is wanted, so that an address that is in use can
// begin to, and end it. http.Server makes the handshake.
type secured struct {
	net.Listener
	tls func() *tls.Config
}

func (l secured) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil || l.tls == nil {
		return conn, err
	}
	if cfg := l.tls(); cfg != nil {
		return tls.Server(conn, cfg), nil
	}
	return conn, nil
}
