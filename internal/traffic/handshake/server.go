package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/handshake/ticket"
	"countersign.dev/internal/traffic/handshake/tlspolicy"
	"countersign.dev/internal/traffic/handshake/turns"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/tlsname"
)

// defaultTimeout is timeouts.handshake of the configuration.
const defaultTimeout = 10 * time.Second

// Config is what one listener needs for its handshakes.
type Config struct {
	Listener     string        // its name; tickets are bound to it
	Certificates []Certificate // the first is the default
	Policies     *Policies
	TLS          TLSPolicy     // zero: modern
	Keys         *TicketKeys   // nil: no resumption, whatever a policy says
	NextProtos   []string      // ALPN, preferred first; none: ALPN is not answered
	TellOffered  bool          // Outcome.Offered is wanted
	Timeout      time.Duration // of a whole handshake; 0: 10 s
	Limits       Limits        // of those that share a gate
	// Newest are the listener's policies in force: what an Inquirer finds out may
	// have come with new ones. nil: Policies.
	Newest func() *Policies
	// Now is the clock for certificates and tickets; nil: time.Now.
	Now func() time.Time
}

// A Server makes handshakes. It is immutable and safe for concurrent use.
type Server struct {
	base     *tls.Config // what every connection starts with, up to the ClientHello
	template template
	policies *Policies
	profiles map[*Policy]*profile
	keys     *TicketKeys
	timeout  time.Duration
	limits   Limits
	now      func() time.Time
	newest   func() *Policies
}

// A template is what the tls.Config of every connection has in common.
type template struct {
	tls        TLSPolicy
	nextProtos []string
	offered    bool // is told
	pick       func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// A profile is a Policy in the terms of crypto/tls.
type profile struct {
	policy     *Policy
	clientAuth tls.ClientAuthType
	clientCAs  *x509.CertPool // only to name them in the CertificateRequest
	tickets    bool
	binding    ticket.Binding
}

// New makes a Server. The error joins every fault.
func New(c Config) (*Server, error) {
	if c.TLS.Name == "" && c.TLS.MinVersion == 0 {
		c.TLS = tlspolicy.Modern()
	}
	certs, err := newSelection(c.Certificates)
	errs := []error{err, c.TLS.Validate()}
	if c.Policies == nil {
		errs = append(errs, errors.New("no policies: want at least the default one"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("listener %q: %w", c.Listener, err)
	}
	s := &Server{
		template: template{tls: c.TLS, nextProtos: c.NextProtos, offered: c.TellOffered && len(c.NextProtos) > 0, pick: certs.pick},
		policies: c.Policies,
		profiles: map[*Policy]*profile{},
		keys:     c.Keys,
		timeout:  c.Timeout,
		limits:   bounds(c.Limits),
		now:      c.Now,
		newest:   c.Newest,
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, p := range c.Policies.all {
		s.profiles[p] = newProfile(p, c)
	}
	s.base = &tls.Config{
		GetConfigForClient:     configForClient,
		GetCertificate:         certs.pick,
		SessionTicketsDisabled: true, // crypto/tls's own ticket keys never come into play
		MinVersion:             c.TLS.MinVersion,
		MaxVersion:             c.TLS.MaxVersion,
	}
	return s, nil
}

func newProfile(p *Policy, c Config) *profile {
	f := &profile{policy: p, tickets: p.Resumption && c.Keys != nil, binding: p.binding(c.Listener)}
	switch {
	case p.Mode == countersign.ClientAuthOff, p.Proxied():
		f.clientAuth = tls.NoClientCert
	case p.Mode == countersign.ClientAuthVerify && p.closes():
		// So that a client without one is told certificate_required.
		f.clientAuth = tls.RequireAnyClientCert
	default:
		f.clientAuth = tls.RequestClientCert
	}
	if p.AdvertiseCANames && p.Store != nil {
		f.clientCAs = p.Store.Pool()
	}
	return f
}

// An Outcome is how a handshake ended.
type Outcome struct {
	Policy     *Policy // nil when the client never said what it wants
	ServerName string  // in normal form, "" when the client named none
	// Certificate names the one that the client was shown, by its first DNS
	// name or else its common name; "" when none was, as on a resumption.
	Certificate string
	// Shown is that certificate; nil when none was.
	Shown *x509.Certificate
	// SignedBy is the scheme by which its key has signed, as RFC 8446 calls it; ""
	// where it has not.
	SignedBy string

	// Chain is the client's proof: zero without a certificate, and whenever
	// there is a Denial.
	Chain verify.Chain
	// Presented is what the client sent, for the log. On a refused connection
	// it may be anybody's: that the client has the key need not be proven.
	Presented []*x509.Certificate
	Denial    *countersign.Denial // nil: admitted

	// Refused: the connection is over, and closed. The exception is a Denial
	// with PlainHTTPOnTLS: the socket is open, so that the caller can answer
	// in plain text and close it with Linger. A Denial without Refused is a
	// client to be told in HTTP (on_failure: respond).
	Refused bool
	// Silent: the client closed before it said hello, as health checks of
	// TCP load balancers do.
	Silent bool
	// Alert is the number of the alert by which the client broke off, if it is
	// Refused; -1: it sent none.
	Alert int
	// Offered are the protocols among which ALPN chose, where the configuration
	// wants that told.
	Offered []string

	State   State
	Latency time.Duration
	First   time.Time // the first full handshake of the session
}

// A State is what logs and targets may be told of the connection, in the terms of
// crypto/tls.
type State struct {
	Version            uint16
	CipherSuite        uint16
	CurveID            tls.CurveID
	DidResume          bool
	NegotiatedProtocol string
}

// Handshake makes the handshake on raw, which belongs to the server from now
// on, and decides about the client. It computes only while it has a turn at
// gate, unless that is nil. It takes the listener's timeout at most, less if ctx
// ends before, and up to a second more for a refused client to read its alert.
// raw is without deadline afterward.
//
// The connection is nil when the Outcome is Refused. Nothing is known of a
// client before Handshake returns: in the course of it a certificate is judged
// before the client has proven to hold its key.
func (s *Server) Handshake(ctx context.Context, raw net.Conn, gate *turns.Gate) (*tls.Conn, Outcome) {
	start := time.Now()
	deepen()
	deadline := start.Add(s.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	h := &session{server: s}
	kept := &remains{session: h}
	h.line, h.ctx, h.until = &kept.line, ctx, deadline
	kept.line.Conn = direct.Wrap(raw)
	direct.Hold(kept.line.Conn) // a flight is one write; a ticket goes out with the first answer
	conn := tls.Server(&kept.line, s.base)
	err := raw.SetDeadline(deadline)
	if err == nil {
		kept.line.bound(gate, s.limits, deadline, ctx.Done())
		err = kept.make(ctx, conn)
	}
	state := conn.ConnectionState()
	// An alert is the last word, and in TLS 1.2 the client waits for our Finished.
	atOnce := err != nil || state.Version < tls.VersionTLS13
	if failed := direct.Release(kept.line.Conn, atOnce); err == nil {
		err = failed
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	out := Outcome{ServerName: h.serverName, Offered: h.offered, Latency: time.Since(start), Presented: state.PeerCertificates}
	out.State = State{state.Version, state.CipherSuite, state.CurveID, state.DidResume, state.NegotiatedProtocol}
	if h.shown != nil {
		out.Certificate, out.Shown, out.SignedBy = nameOf(h.shown), h.shown, h.key.scheme
	}
	if h.profile != nil {
		out.Policy = h.profile.policy
	}
	if err == nil && !h.decided {
		err = countersign.Deny(countersign.StageHandshake, countersign.CredentialNotProven,
			"the handshake ended without a decision about the client")
	}
	if err != nil {
		return nil, h.refuse(raw, err, out)
	}
	out.First = h.began
	if out.Denial = h.denial; out.Denial == nil {
		out.Chain = h.chain
	}
	return conn, out
}

// make has crypto/tls make the handshake. The end of ctx makes reads and writes
// time out: a context of crypto/tls's own that could end would cost a goroutine
// for each handshake.
func (k *remains) make(ctx context.Context, conn *tls.Conn) error {
	defer func() {
		k.line.unbound()
		k.session = nil
	}()
	undo := context.AfterFunc(ctx, func() { k.line.SetDeadline(time.Unix(1, 0)) })
	err := conn.HandshakeContext(context.WithValue(context.Background(), sessionKey{}, k))
	if !undo() {
		return ctx.Err()
	}
	return err
}

func nameOf(c *x509.Certificate) string {
	if len(c.DNSNames) > 0 {
		return c.DNSNames[0]
	}
	return c.Subject.CommonName
}

func (h *session) refuse(raw net.Conn, err error, out Outcome) Outcome {
	out.Refused, out.Alert = true, tlsname.Alert(err)
	// EOF between records, or the reset by which HAProxy's checks end.
	out.Silent = h.profile == nil && (err == io.EOF || errors.Is(err, syscall.ECONNRESET))
	if out.Denial = h.refusal; out.Denial == nil {
		out.Denial = classify(err)
	}
	var record tls.RecordHeaderError
	switch {
	case out.Denial.Code == countersign.PlainHTTPOnTLS:
		raw.SetDeadline(time.Time{})
	case errors.As(err, &record), !isOurs(err), out.Denial.Code == countersign.HandshakeLimit:
		raw.Close() // no alert was sent, or nobody is there to read it
	default:
		Linger(raw)
	}
	return out
}

// isOurs reports whether err is a refusal of this side, which told the client
// by an alert.
func isOurs(err error) bool {
	var denial *countersign.Denial
	var local *net.OpError
	return errors.As(err, &denial) || strings.HasPrefix(err.Error(), "tls: ") ||
		errors.As(err, &local) && local.Op == "local error"
}
