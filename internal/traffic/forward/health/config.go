package health

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// A Config says how the targets of a group are checked. The zero value is a GET of
// / every 10 s.
type Config struct {
	Protocol  string         // http | https | grpc | tcp | tls; "": http
	Port      int            // that is asked in place of the target's own, without a PROXY header; 0: the target's
	Proxy     int            // version of the PROXY header, with command LOCAL, that connections begin with: 1 or 2; 0: none
	TLS       *secure.Client // https, tls: required; grpc: nil is without TLS. For HTTP/2 it demands h2 by ALPN
	HTTP2     bool           // http, https: asked over HTTP/2 as grpc always is, without TLS with prior knowledge
	Path      string         // http, https: the request target, from "/" on; "": "/"; grpc: the method; "": StandardService
	Host      string         // http, https, grpc: the Host field; "": the target's address
	Matcher   string         // http, https: statuses that are well, "200-399,418"; "": 200-399; grpc: codes, "0,12"; "": 0
	Interval  time.Duration  // from the start of one check to the start of the next, give or take a tenth; 0: 10s
	Timeout   time.Duration  // of one whole check, at most Interval; 0: 5s, or Interval if that is less
	Healthy   int            // good checks in a row that make an unhealthy target healthy; 0: 2
	Unhealthy int            // bad checks in a row that make a healthy target unhealthy; 0: 2
}

// Same reports whether c and d are the same check, but perhaps for what is said over
// TLS: a certificate that was renewed is no other check.
func (c Config) Same(d Config) bool {
	if (c.TLS == nil) != (d.TLS == nil) {
		return false
	}
	c.TLS, d.TLS = nil, nil
	return c == d
}

// WithDefaults returns c with every zero field replaced by what it stands for.
func (c Config) WithDefaults() Config {
	or(&c.Protocol, "http")
	switch c.Protocol {
	case "http", "https":
		or(&c.Path, "/")
		or(&c.Matcher, "200-399")
	case "grpc":
		or(&c.Path, StandardService)
		or(&c.Matcher, "0")
	}
	or(&c.Interval, 10*time.Second)
	or(&c.Timeout, min(5*time.Second, c.Interval))
	or(&c.Healthy, 2)
	or(&c.Unhealthy, 2)
	return c
}

func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

// Validate returns every fault of c, joined, or nil. Each begins with the name
// of the key of the configuration file.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	switch c.Protocol {
	case "http", "https", "grpc":
		if i := strings.IndexFunc(c.Path, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }); c.Path[0] != '/' || i >= 0 {
			fault("path: %q, want a request target that begins with / in visible ASCII, such as /healthz?full=1", c.Path)
		} else if c.Protocol == "grpc" && !isMethod(c.Path) {
			fault("path: %q, want /SERVICE/METHOD, such as %s", c.Path, StandardService)
		}
		if strings.ContainsFunc(c.Host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\@?#,`, r) }) {
			fault("host: %q, want a host name, with :port if it needs one", c.Host)
		}
		if _, err := ParseMatcher(c.Protocol, c.Matcher); err != nil {
			fault("matcher: %w", err)
		}
	case "tcp", "tls":
		for _, f := range [...]struct{ key, value string }{{"path", c.Path}, {"host", c.Host}, {"matcher", c.Matcher}} {
			if f.value != "" {
				fault("%s: %q, but a %s check only connects; remove it or set protocol: http", f.key, f.value, c.Protocol)
			}
		}
	default:
		fault("protocol: %q, want http, https, grpc, tcp or tls", c.Protocol)
	}
	switch secure := c.Protocol == "https" || c.Protocol == "tls"; {
	case secure && c.TLS == nil:
		fault("protocol: %s without a way to speak TLS to the target", c.Protocol)
	case c.TLS != nil && !secure && c.Protocol != "grpc":
		fault("protocol: %q with TLS, want https, tls or grpc", c.Protocol)
	}
	if c.Port < 0 || c.Port > 65535 {
		fault("port: %d, want 1 to 65535", c.Port)
	}
	if c.Interval < 0 {
		fault("interval: %v, want more than 0", c.Interval)
	} else if c.Timeout < 0 || c.Timeout > c.Interval {
		fault("timeout: %v, want more than 0, at most the interval of %v", c.Timeout, c.Interval)
	}
	if c.Healthy < 1 || c.Healthy > 100 {
		fault("healthy: %d, want 1 to 100 checks in a row", c.Healthy)
	}
	if c.Unhealthy < 1 || c.Unhealthy > 100 {
		fault("unhealthy: %d, want 1 to 100 checks in a row", c.Unhealthy)
	}
	return errors.Join(faults...)
}

// isMethod reports whether path is the :path of a gRPC call.
func isMethod(path string) bool {
	service, method, ok := strings.Cut(path[1:], "/")
	return ok && service != "" && method != "" && !strings.Contains(path, "?")
}
