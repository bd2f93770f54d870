package wellknown

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"countersign.dev/internal/control/serving"
)

// maxConnections bounds who asks at the same time: what is published is small,
// and caches stand before it.
const maxConnections = 1024

// A Server is bound to its address from Listen on, and answers while Run runs.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen binds the address. It must be followed by Run, or by Close.
func Listen(address string, handler http.Handler, logger *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("address of revocation lists and OCSP %q: %w", address, err)
	}
	return &Server{
		listener: netutil.LimitListener(l, maxConnections),
		http: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      time.Minute,
			IdleTimeout:       30 * time.Second,
			MaxHeaderBytes:    32 << 10, // an OCSP request may be in the path
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		},
	}, nil
}

// Addr is the address that Listen bound.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run answers until ctx is done, then lets answers under way finish for a few
// seconds. It returns nil after such a stop.
func (s *Server) Run(ctx context.Context) error {
	if err := serving.Run(ctx, s.http, s.listener); err != nil {
		return fmt.Errorf("revocation lists and OCSP: %w", err)
	}
	return nil
}

// Close gives the address back, instead of Run or when its ctx is done.
func (s *Server) Close() error { return s.listener.Close() }
