package proxied

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/socket"
	"countersign.dev/internal/wire/proxyproto"
)

// A Rule says whose PROXY headers are believed at a listener. A header from
// anybody else is never passed over: the connection is closed.
type Rule struct {
	// Required closes connections that do not begin with a header.
	Required bool
	// From are the networks of the balancers.
	From []netip.Prefix
	// Timeout bounds the wait for the whole header. Under a rule that does not
	// require one, it bounds the wait for the first byte.
	Timeout time.Duration
	// Pass are the types of TLVs that targets are told in their turn.
	Pass []byte
}

// Passed are the fields of h that targets are told in their turn.
func (r *Rule) Passed(h *proxyproto.Header) (passed []proxyproto.TLV) {
	for _, t := range h.TLVs {
		if slices.Contains(r.Pass, t.Type) {
			passed = append(passed, t)
		}
	}
	return passed
}

// ErrSilent is the error of a connection that ended before its first byte, as the
// health checks of balancers do.
var ErrSilent = proxyproto.ErrSilent

// Ask takes the header from conn, and not a byte more; nil if none is there and
// none has to be. It waits for the rule's timeout, less if ctx ends before. The
// error is a *countersign.Denial or ErrSilent. conn is without read deadline
// afterward.
func (r *Rule) Ask(ctx context.Context, conn socket.Conn) (*proxyproto.Header, error) {
	peer := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
	named := contains(r.From, peer)
	if r.Required && !named {
		return nil, deny(countersign.ProxyHeaderUntrusted, "%s is in none of the networks of proxy_protocol.from, and only they may connect here", peer)
	}
	if err := conn.SetReadDeadline(time.Now().Add(r.Timeout)); err != nil {
		return nil, deny(countersign.ProxyHeaderMissing, "%v", err)
	}
	undo := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	h, err := r.read(conn, peer, named)
	if !undo() {
		return nil, deny(countersign.ShuttingDown, "the node is shutting down")
	}
	if err == nil {
		conn.SetReadDeadline(time.Time{}) // it fails if conn is closed: whoever reads will be told
	}
	return h, err
}

func (r *Rule) read(conn socket.Conn, peer netip.Addr, named bool) (*proxyproto.Header, error) {
	found, err := proxyproto.Begins(conn)
	switch {
	case err == proxyproto.ErrSilent, errors.Is(err, syscall.ECONNRESET):
		return nil, ErrSilent
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, deny(countersign.ProxyHeaderTimeout, "nothing, or not enough to know whether it begins with a PROXY header, came within %s (proxy_protocol.timeout)", r.Timeout)
	case err != nil:
		return nil, deny(countersign.ProxyHeaderMissing, "%v", err)
	case found && !named:
		return nil, deny(countersign.ProxyHeaderUntrusted, "a PROXY header came from %s, which is in none of the networks of proxy_protocol.from", peer)
	case !found && r.Required:
		return nil, deny(countersign.ProxyHeaderMissing, "the connection does not begin with a PROXY header: let the balancer at %s send one", peer)
	case !found:
		return nil, nil
	}
	h, err := proxyproto.Read(conn)
	var malformed *proxyproto.MalformedError
	switch {
	case errors.As(err, &malformed):
		return nil, deny(countersign.ProxyHeaderInvalid, "the PROXY header from %s: %s", peer, malformed.Reason)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, deny(countersign.ProxyHeaderTimeout, "the PROXY header from %s did not end within %s (proxy_protocol.timeout)", peer, r.Timeout)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, deny(countersign.ProxyHeaderInvalid, "the connection from %s ended within the PROXY header", peer)
	case err != nil:
		return nil, deny(countersign.ProxyHeaderInvalid, "the PROXY header from %s: %v", peer, err)
	}
	return h, nil
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func deny(code countersign.Code, format string, args ...any) *countersign.Denial {
	return countersign.Deny(countersign.StageAccept, code, format, args...)
}
