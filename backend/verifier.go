package backend

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Dialect is how the gateway says who the client is: the word in its
// identity_headers.
type Dialect string

// The dialects, each in the file of its name.
const (
	Token   Dialect = "token"
	AWS     Dialect = "aws"
	Nginx   Dialect = "nginx"
	RFC9440 Dialect = "rfc9440"
	XFCC    Dialect = "xfcc"
	Traefik Dialect = "traefik"
)

// Config says who is believed, and which clients are served.
type Config struct {
	Dialect Dialect

	// Audience, Keys and what follows to Leeway are of the dialect token.

	// Audience must be the token's aud: the name of the target group, unless the
	// gateway has another configured.
	Audience string
	// Keys are where the gateway publishes its keys, https:// or http:// URLs of JWK
	// Sets, or the paths of files; of every node, if there are several.
	Keys []string
	// Issuer must be the token's iss. "": countersign.
	Issuer string
	// Header has the token. "": X-Client-Identity-Token.
	Header string
	// Leeway is how far the clocks may be apart. 0: 30 s.
	Leeway time.Duration
	// Client fetches keys. nil: one that gives up after five seconds.
	Client *http.Client

	// Peers are the addresses of the gateway, which alone is believed. All dialects
	// but token need them.
	Peers []netip.Prefix
	// Verifies: the gateway has client_auth verify or optional for all who get here.
	// The dialect rfc9440 cannot say so itself, and without this its clients are
	// unverified.
	Verifies bool

	// Clients without a verified certificate are refused, but for those that are let
	// in here: Credentials has shown something else in its place, Unverified a
	// certificate that nobody has verified, Anonymous nothing.
	Credentials, Unverified, Anonymous bool

	// Refuse answers whoever is refused. nil: 403 without a reason, which goes to
	// the Logger.
	Refuse func(w http.ResponseWriter, r *http.Request, why error)
	Logger *slog.Logger // nil: slog.Default()

	now func() time.Time
}

// A Verifier finds out who asks. It is safe for concurrent use.
type Verifier struct {
	cfg    Config
	keys   *keySet
	claims func(http.Header) (*Client, error) // of the dialect, whoever has sent it
}

// New returns the Verifier for cfg, or every fault in it, joined. It fetches no
// keys yet.
func New(cfg Config) (*Verifier, error) {
	v := &Verifier{cfg: cfg}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("backend: "+format, args...)) }
	switch cfg.Dialect {
	case Token:
		if cfg.Audience == "" {
			fault("dialect token without Audience: want the name of the target group that this program is")
		}
		if len(cfg.Keys) == 0 {
			fault("dialect token without Keys: want the URL of the gateway's keys, such as http://10.0.0.5:9901/.well-known/jwks.json")
		}
		v.claims = v.token
	case AWS:
		v.claims = aws
	case Nginx:
		v.claims = nginx
	case RFC9440:
		v.claims = func(h http.Header) (*Client, error) { return rfc9440(h, cfg.Verifies) }
	case XFCC:
		v.claims = xfcc
	case Traefik:
		v.claims = traefik
	default:
		fault("dialect %q: want token, aws, nginx, rfc9440, xfcc or traefik", cfg.Dialect)
	}
	if cfg.Dialect != Token && len(cfg.Peers) == 0 {
		fault("dialect %s without Peers: want the addresses of the gateway, for anybody else could write such headers", cfg.Dialect)
	}
	for _, p := range cfg.Peers {
		if !p.IsValid() {
			fault("Peers has an address that is none")
		}
	}
	if v.cfg.Issuer == "" {
		v.cfg.Issuer = "countersign"
	}
	if v.cfg.Header == "" {
		v.cfg.Header = "X-Client-Identity-Token"
	}
	if v.cfg.Leeway == 0 {
		v.cfg.Leeway = 30 * time.Second
	}
	if v.cfg.Logger == nil {
		v.cfg.Logger = slog.Default()
	}
	if v.cfg.now == nil {
		v.cfg.now = time.Now
	}
	if cfg.Client == nil {
		v.cfg.Client = &http.Client{Timeout: 5 * time.Second}
	}
	var err error
	if v.keys, err = newKeySet(cfg.Keys, v.cfg.Client, v.cfg.now); err != nil {
		fault("%w", err)
	}
	if v.cfg.Refuse == nil {
		v.cfg.Refuse = v.refuse
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return v, nil
}

// Handler calls next for clients that may be served, with their Identity in the
// context of the request.
func (v *Verifier) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := v.Identify(r)
		if err != nil {
			v.cfg.Refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(WithIdentity(r.Context(), c)))
	})
}

// Identify returns who asks, or why that is not to be served.
func (v *Verifier) Identify(r *http.Request) (*Client, error) {
	if err := v.believes(r.RemoteAddr); err != nil {
		return nil, err
	}
	c, err := v.claims(r.Header)
	if err == nil && v.cfg.Dialect != Token {
		err = c.beside(r.Header)
	}
	switch {
	case err != nil:
		return nil, err
	case c.Verified:
	case c.certified() && !v.cfg.Unverified:
		return nil, errors.New("the client's certificate was not verified by the gateway")
	case !c.certified() && c.Credential != Credential{} && !v.cfg.Credentials:
		return nil, errors.New("the client has shown the gateway a credential, and no certificate")
	case c.Anonymous() && !v.cfg.Anonymous:
		return nil, errors.New("the client has shown the gateway no certificate")
	}
	return c, nil
}

// believes checks from where a request comes.
func (v *Verifier) believes(remote string) error {
	if len(v.cfg.Peers) == 0 { // then a signature is demanded
		return nil
	}
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return fmt.Errorf("the request comes from %q, which is no IP address", remote)
	}
	addr := from.Addr().Unmap()
	if !slices.ContainsFunc(v.cfg.Peers, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return fmt.Errorf("the request comes from %s, which is not among Peers", addr)
	}
	return nil
}

func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, why error) {
	v.cfg.Logger.Warn("request refused", "from", r.RemoteAddr, "path", r.URL.Path, "error", why)
	http.Error(w, "who you are has not been proven to this server", http.StatusForbidden)
}

// field returns the one field of that name; "" if there is none.
func field(h http.Header, name string) (string, error) {
	switch all := h.Values(name); len(all) {
	case 0:
		return "", nil
	case 1:
		return strings.Trim(all[0], " \t"), nil
	default:
		return "", fmt.Errorf("header %s is there %d times: want it once", name, len(all))
	}
}
