package api

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/audit"
	"countersign.dev/internal/traffic/verify"
)

// Rules say who may use the API. They belong to a configuration, and do not
// change.
type Rules struct {
	// Off says why nobody may; "" if somebody may.
	Off string
	// Token is for callers on this machine; NoToken says why there is none.
	Token   Token
	NoToken string
	// Certificates are those of the address. With any, it speaks TLS alone.
	Certificates []*x509.Certificate
	// Operators decides about who shows a certificate; nil: nobody of them is one.
	Operators Operators
	// Trail has everything that changes something. nil: nothing can be changed.
	Trail Trail
}

// Operators decides about a certificate with those that came with it: a
// handshake.Policy.
type Operators interface {
	Prepare(ctx context.Context, presented []*x509.Certificate, now time.Time, aside func(wait func()) error) error
	Admit(presented []*x509.Certificate, now time.Time, trace func(verify.Step)) (verify.Chain, *countersign.Denial)
}

// A Trail keeps entries: an audit.Trail.
type Trail interface {
	Append(audit.Entry) (sequence uint64, err error)
}

// Enforce has the API follow rules from the next request on, on connections that
// are open, too.
func (a *API) Enforce(rules *Rules) { a.rules.Store(rules) }

// longestInquiry is how long is waited for what decides about an operator and has
// to be asked for: an OCSP responder's answer.
const longestInquiry = 5 * time.Second

// prepared are the rules under which a request is to be judged.
func (a *API) prepared(r *http.Request) *Rules {
	rules := a.rules.Load()
	if rules.Operators == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return rules
	}
	ctx, cancel := context.WithTimeout(r.Context(), longestInquiry)
	defer cancel()
	rules.Operators.Prepare(ctx, r.TLS.PeerCertificates, time.Now(), nil) // what was not found out, Admit finds
	return a.rules.Load()                                                 // what was may have come with newer ones
}

// A caller is who asks, as far as it is known.
type caller struct {
	audit.Who
	from netip.AddrPort
	why  string // it is refused, for operators alone
}

// admit says who the caller is, and whether it may. It is asked before every
// request, of one connection too: a certificate can be revoked meanwhile.
func (rules *Rules) admit(r *http.Request) (caller, *problem) {
	from, _ := netip.ParseAddrPort(r.RemoteAddr)
	c := caller{Who: audit.Who{Kind: "nobody"}, from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		leaf := r.TLS.PeerCertificates[0]
		c.Subject, c.Fingerprint = nameOf(leaf.RawSubject), fingerprint(leaf.Raw)
	}
	if rules.Off != "" {
		return c, refuse(http.StatusServiceUnavailable, "api_off", "the management API is off: %s", rules.Off)
	}
	if len(rules.Certificates) > 0 && r.TLS == nil { // the connection is older than the configuration
		return c, refuse(http.StatusForbidden, "tls_required", "the admin address speaks TLS now; connect again, with https")
	}
	if p := rules.notABrowser(r); p != nil {
		return c, p
	}
	local := c.from.Addr().IsLoopback()
	switch authorization := r.Header.Get("Authorization"); {
	case len(r.Header["Authorization"]) > 1:
		return c, refuse(http.StatusUnauthorized, "credentials_refused", "there is more than one Authorization field")
	case authorization != "" && !local:
		return c, refuse(http.StatusForbidden, "token_from_elsewhere", "the token is for callers on the node's own machine, and %s is another; %s", c.from.Addr(), rules.remedy())
	case authorization != "":
		return rules.token(c, authorization)
	case c.Fingerprint != "" && rules.Operators != nil:
		return rules.certificate(c, r.TLS.PeerCertificates)
	case !local && rules.Operators == nil:
		return c, refuse(http.StatusForbidden, "operators_not_configured", "the management API is for callers on the node's own machine alone, and %s is another; %s", c.from.Addr(), rules.remedy())
	}
	return c, refuse(http.StatusUnauthorized, "credentials_missing", "the management API needs %s", rules.wanted(local))
}

// remedy is what somebody on another machine can do.
func (rules *Rules) remedy() string {
	if rules.Operators != nil {
		return "show a certificate that the trust store of node.admin accepts"
	}
	return "to let operators in from elsewhere, give node.admin certificates and a trust_store"
}

func (rules *Rules) wanted(local bool) string {
	token := "Authorization: Bearer with the content of " + TokenName + " in the node's data_dir"
	if rules.NoToken != "" {
		token = "a token, but there is none (" + rules.NoToken + ")"
	}
	const certificate = "a certificate that the trust store of node.admin accepts"
	switch {
	case rules.Operators == nil:
		return token
	case !local:
		return certificate
	}
	return certificate + ", or " + token
}

func (rules *Rules) token(c caller, authorization string) (caller, *problem) {
	scheme, text, _ := strings.Cut(authorization, " ") // RFC 9110 section 11.1: the scheme has no case
	switch {
	case rules.NoToken != "":
		return c, refuse(http.StatusUnauthorized, "credentials_refused", "there is no token: %s", rules.NoToken)
	case !strings.EqualFold(scheme, "Bearer") || !rules.Token.is(strings.TrimLeft(text, " ")):
		return c, refuse(http.StatusUnauthorized, "credentials_refused", "this is not the token: it is in %s in the node's data_dir, and shown as Authorization: Bearer TOKEN", TokenName)
	}
	c.Who = audit.Who{Kind: "token:local"}
	return c, nil
}

func (rules *Rules) certificate(c caller, presented []*x509.Certificate) (caller, *problem) {
	if _, denial := rules.Operators.Admit(presented, time.Now(), nil); denial != nil {
		c.why = denial.Error()
		return c, refuse(http.StatusForbidden, "certificate_refused", "the trust store of node.admin does not accept this certificate (%s)", denial.Code)
	}
	c.Kind = "certificate"
	return c, nil
}

// notABrowser refuses what pages of other sites can make a browser send: over its
// user's network, with its user's certificate. A name that is not this node's may
// lead here by DNS rebinding.
func (rules *Rules) notABrowser(r *http.Request) *problem {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" && r.Header.Get("Sec-Fetch-Site") != "none" {
		return refuse(http.StatusForbidden, "browser_refused", "the management API is not for web pages: a request with Origin or Sec-Fetch-Site is refused")
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || strings.EqualFold(host, "localhost") {
		return nil
	}
	for _, c := range rules.Certificates {
		if c.VerifyHostname(host) == nil {
			return nil
		}
	}
	return refuse(http.StatusMisdirectedRequest, "host_unknown", "%q is no name of this node: want an IP address, localhost, or a name in a certificate of node.admin", r.Host)
}
