package secure

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	"countersign.dev/internal/traffic/verify/vouch"
)

// A Config is what a target group says about TLS.
type Config struct {
	// Certificate is ours, with Leaf; nil: targets that ask for one get none.
	Certificate *tls.Certificate
	// Roots issue the certificates of targets. nil: the authorities of the system;
	// to have none at all is an error.
	Roots []*x509.Certificate
	// ServerName is asked for, and must be in the certificate. "": the host of the
	// target's address, which may be an IP address.
	ServerName string
	// CRLs are revocation lists for every certificate below the authorities. One that is out of
	// date refuses; an issuer without a list revokes nothing.
	CRLs []*crl.List
	// Pins are SHA-256 of public keys (RFC 7469 section 2.4), one of which a
	// certificate of the target's verified path must have. None: any will do.
	Pins [][sha256.Size]byte
	// Unverified takes every certificate for good; the four fields above must be zero.
	Unverified bool
	// Protocols are offered by ALPN, preferred first; none: what the client at the
	// other side has chosen, if that is told.
	Protocols []string
	// Demanded is whether the target must choose one of Protocols.
	Demanded bool
	Now      func() time.Time // nil: time.Now
}

// A Client makes TLS connections to the targets of a group. It is safe for
// concurrent use.
type Client struct {
	cfg      Config
	roots    *x509.CertPool // nil: the system's
	anchors  vouch.Anchors  // of roots
	lists    *revocation.Checker
	sessions tls.ClientSessionCache
	base     *tls.Config
	digest   [sha256.Size]byte
	warnings []string
}

// mostSessions bounds the sessions that a Client remembers, one for each target.
const mostSessions = 1024

// New compiles cfg, or says what is wrong with it.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg, sessions: tls.NewLRUClientSessionCache(mostSessions)}
	if c.cfg.Now == nil {
		c.cfg.Now = time.Now
	}
	var errs []error
	if cfg.Unverified && (cfg.Roots != nil || cfg.ServerName != "" || len(cfg.CRLs) > 0 || len(cfg.Pins) > 0) {
		errs = append(errs, errors.New("targets are not to be verified, but it is said what they are to be verified by"))
	}
	if cfg.Roots != nil { // an empty bundle trusts nobody, not everybody
		if len(cfg.Roots) == 0 {
			errs = append(errs, errors.New("no authority: no target could ever be verified"))
		}
		c.roots, c.anchors = x509.NewCertPool(), vouch.NewAnchors(cfg.Roots)
		for _, root := range cfg.Roots {
			c.roots.AddCert(root)
		}
	}
	lists, warnings, err := revocation.New(revocation.Config{Lists: cfg.CRLs, Scope: revocation.ScopeChain}, cfg.Roots, c.cfg.Now())
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.lists, c.warnings = lists, warnings
	c.base = &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it, for resumed handshakes as well
		NextProtos:         cfg.Protocols,
		MinVersion:         tls.VersionTLS12,
		Time:               c.cfg.Now,
	}
	c.digest = c.sum()
	return c, nil
}

// sum digests all that makes one Client behave otherwise than another.
func (c *Client) sum() [sha256.Size]byte {
	h := sha256.New()
	part := func(kind string, all ...[]byte) {
		fmt.Fprintf(h, "%s %d\n", kind, len(all))
		for _, b := range all {
			fmt.Fprintf(h, "%d:%s\n", len(b), b)
		}
	}
	if own := c.cfg.Certificate; own != nil {
		part("certificate", own.Certificate...)
	}
	if c.cfg.Roots != nil {
		var roots [][]byte
		for _, root := range c.cfg.Roots {
			roots = append(roots, root.Raw)
		}
		slices.SortFunc(roots, slices.Compare[[]byte])
		part("roots", roots...)
	}
	lists := c.lists.Digest()
	part("lists", lists[:])
	var pins [][]byte
	for i := range c.cfg.Pins {
		pins = append(pins, c.cfg.Pins[i][:])
	}
	slices.SortFunc(pins, slices.Compare[[]byte])
	part("pins", pins...)
	fmt.Fprintf(h, "%q %t %q %t", c.cfg.ServerName, c.cfg.Unverified, c.cfg.Protocols, c.cfg.Demanded)
	return [sha256.Size]byte(h.Sum(nil))
}

// Same reports whether other, which may be nil, behaves as c does: then c can
// stay, with its sessions and the connections that were made with it.
func (c *Client) Same(other *Client) bool { return other != nil && c.digest == other.digest }

// Warnings are what is doubtful about the settings, in sentences.
func (c *Client) Warnings() []string { return c.warnings }

// Unverified reports whether anybody can pretend to be a target.
func (c *Client) Unverified() bool { return c.cfg.Unverified }

// Handshake makes conn, a connection to the target at address (host:port), one
// over TLS. protocol is what was agreed upon by ALPN with the client that it is for,
// "" if nothing: it is offered where Protocols are none. When it fails, or ctx ends
// first, conn must be closed; the error is a *countersign.Denial.
func (c *Client) Handshake(ctx context.Context, conn net.Conn, address, protocol string) (*Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	h := &attempt{client: c, address: address, name: cmp.Or(c.cfg.ServerName, host)}
	cfg := c.base.Clone()
	cfg.ServerName = h.name
	if len(cfg.NextProtos) == 0 && protocol != "" {
		cfg.NextProtos = []string{protocol}
	}
	h.offered = cfg.NextProtos
	cfg.ClientSessionCache = sessionOf{c.sessions, address}
	cfg.GetClientCertificate = h.certificate
	cfg.VerifyConnection = h.verify
	out := newConn(conn, cfg)
	out.attempt = h
	if err := out.Conn.HandshakeContext(ctx); err != nil {
		return nil, h.failed(err)
	}
	return out, nil
}

// An attempt is one handshake, and what came of it.
type attempt struct {
	client  *Client
	address string
	name    string    // that the target must have
	offered []string  // by ALPN
	chosen  string    // of them; "": none
	asked   bool      // the target asked for a certificate
	until   time.Time // the verdict may be another one later; zero: it will not
}

// certificate answers a target that asks for one. It is ours whatever authorities
// the target names: that it has another one in mind is for it to say.
func (h *attempt) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	h.asked = true
	if own := h.client.cfg.Certificate; own != nil {
		return own, nil
	}
	return &tls.Certificate{}, nil
}

// shown names the certificate that the target gets.
func (h *attempt) shown() string {
	own := h.client.cfg.Certificate
	if own == nil || own.Leaf == nil {
		return ""
	}
	return describe.Certificate(own.Leaf)
}

// sessionOf has the sessions with one target: those with others of the same name
// are no use.
type sessionOf struct {
	all    tls.ClientSessionCache
	target string
}

func (s sessionOf) Get(string) (*tls.ClientSessionState, bool)    { return s.all.Get(s.target) }
func (s sessionOf) Put(_ string, session *tls.ClientSessionState) { s.all.Put(s.target, session) }
