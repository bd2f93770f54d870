package publish

import (
	"fmt"
	"net/netip"

	"countersign.dev"
	"countersign.dev/internal/config"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/http1"
)

// pemSize bounds a certificate or key file.
const pemSize = 1 << 20

func (c *compiler) listener(i int) {
	l := &c.cfg.Listeners[i]
	path := fmt.Sprintf("listeners[%d]", i)
	out := &snapshot.Listener{
		Name: l.Name, Address: l.Address,
		Exchange:  settings(l),
		KeepAlive: l.Timeouts.KeepAlive,
	}
	out.Alive = probing(l.Timeouts.TCPKeepAlive, l.Timeouts.TCPUserTimeout, listenerKeepAlive)
	out.Proxied = balancers(&l.ProxyProtocol)
	out.Vouching = vouching(&l.ClientAuth)
	before := len(c.faults)
	out.Policies = c.policies(l, path)
	out.Devices = c.devices(l)
	out.Require, out.CredentialFailures = c.requirement(l.Require), l.Limits.CredentialFailures
	out.Identity = c.identityHeaders(l, path)
	routes := c.routes(l, path)
	out.Exchange.Identity = out.Identity
	if l.Streams() {
		out.Stream = passing(l)
	}
	if l.Secure() {
		certificates := c.certificates(l.Certificates, l.Name, path)
		policy, err := handshake.PolicyByName(l.TLS.Policy)
		if err != nil {
			c.fault(path+".tls.policy", err.Error(), "", "")
		}
		for _, note := range policy.Notes {
			c.warn(path+".tls.policy", l.TLS.Policy+": "+note, "", "")
		}
		if c.faults[before:].Err() != nil || out.Policies == nil {
			return
		}
		var newest func() *handshake.Policies
		if f := c.options.Newest; f != nil {
			newest = func() *handshake.Policies { return f(l.Name) }
		}
		out.TLS, err = handshake.New(handshake.Config{
			Newest:   newest,
			Limits:   handshake.Limits{AtOnce: l.Limits.Handshakes, Waiting: l.Limits.WaitingHandshakes},
			Listener: l.Name, Certificates: certificates, Policies: out.Policies, TLS: policy, Keys: c.options.Keys,
			NextProtos: protocols(l), TellOffered: l.Streams(), Timeout: l.Timeouts.Handshake,
		})
		c.errs(path, err)
	}
	c.draft.Listeners, c.draft.routes = append(c.draft.Listeners, out), append(c.draft.routes, routes)
}

// balancers are those whose PROXY headers are believed; nil: nobody is asked.
func balancers(p *config.ProxyProtocol) *proxied.Rule {
	if p.Accept == "off" {
		return nil
	}
	rule := &proxied.Rule{Required: p.Accept == "required", Timeout: p.Timeout}
	rule.From, rule.Pass = prefixes(p.From), p.Passed()
	return rule
}

// vouching says who is believed about clients' certificates; nil: nobody.
func vouching(a *config.ClientAuth) *proxied.Vouching {
	if a.Mode != countersign.ClientAuthProxied {
		return nil
	}
	return &proxied.Vouching{From: prefixes(a.From), Certificate: a.TrustStore != ""}
}

func prefixes(networks []string) (out []netip.Prefix) {
	for _, n := range networks {
		out = append(out, netip.MustParsePrefix(n)) // the configuration's rule has made it one
	}
	return out
}

// protocols are what ALPN offers.
func protocols(l *config.Listener) []string {
	if len(l.TLS.ALPN) == 0 && l.Protocol == "https" {
		return []string{"h2", "http/1.1"}
	}
	return l.TLS.ALPN
}

func settings(l *config.Listener) http.Settings {
	return http.Settings{
		Request:   http1.Limits{Line: int(l.Limits.RequestLine), Field: int(l.Limits.Header), Head: int(l.Limits.RequestLine + l.Limits.Headers)},
		Response:  http1.Limits{Line: int(l.Limits.ResponseHeaders), Field: int(l.Limits.ResponseHeaders), Head: int(l.Limits.ResponseHeaders)},
		Body:      l.Limits.Body,
		Forwarded: http.Forwarded(l.Forwarded),
		Headers:   l.Timeouts.Headers,
		Idle:      l.Timeouts.Idle,
		Wait:      l.Timeouts.Response,
	}
}

// policies compiles client_auth and server_names; nil if there is a fault.
func (c *compiler) policies(l *config.Listener, path string) *handshake.Policies {
	renewal := c.renewal(l)
	def, ok := c.policy("default", &l.ClientAuth, renewal)
	var named []handshake.Named
	for j := range l.ServerNames {
		sn := &l.ServerNames[j]
		p, good := c.policy(policyName(sn.Names), &sn.ClientAuth, renewal)
		named = append(named, handshake.Named{Names: sn.Names, Policy: p})
		ok = ok && good
	}
	if !ok {
		return nil // the trust store has been complained about
	}
	policies, err := handshake.NewPolicies(def, named)
	c.errs(path+".client_auth", err)
	return policies
}

func (c *compiler) policy(name string, a *config.ClientAuth, renewal *verify.Renewal) (*handshake.Policy, bool) {
	p := &handshake.Policy{
		Name: name, Mode: a.Mode, MaxChainDepth: a.MaxChainDepth, IgnoreExpiry: a.IgnoreExpiry,
		AdvertiseCANames: a.AdvertiseCANames, OnFailure: a.OnFailure, Close: a.Close, Resumption: a.Resumption,
	}
	switch a.Mode {
	case countersign.ClientAuthProxied:
		if a.TrustStore != "" {
			p.Store = c.stores[a.TrustStore]
			p.Inquirers = c.draft.inquirers(a.TrustStore)
			return p, p.Store != nil
		}
	case countersign.ClientAuthOptional, countersign.ClientAuthVerify:
		p.Store, p.Renewal = c.stores[a.TrustStore], renewal
		p.Inquirers = c.draft.inquirers(a.TrustStore)
		return p, p.Store != nil
	}
	return p, true
}

// forwardedNames are what the engine sets or passes under its own spelling; in
// any other, X_Forwarded_For, a backend that folds names would take a client's
// word for ours (CVE-2026-39858).
var forwardedNames = []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port"}

// proxyName is a field that no client has a use for, and that CGI makes the
// variable of which takes outgoing requests elsewhere (CVE-2016-5385).
const proxyName = "Proxy"

func (c *compiler) identityHeaders(l *config.Listener, path string) *idheader.Plan {
	cfg := idheader.Config{
		Strip:  append(append(c.cfg.OwnHeaders(), proxyName), forwardedNames...),
		Device: l.Devices == "annotate",
		Limits: idheader.Limits{Header: int(l.Limits.Header), Headers: int(l.Limits.Headers)},
	}
	for _, h := range l.IdentityHeaders {
		switch {
		case h.Token != nil:
			cfg.Token = &idheader.Token{
				Header: h.Token.Header, Issuer: h.Token.Issuer, Audience: h.Token.Audience, Lifetime: h.Token.Lifetime, Signer: c.options.Tokens,
			}
		case h.Dialect != "":
			cfg.Dialects = append(cfg.Dialects, idheader.Dialect(h.Dialect))
		default:
			cfg.Set = append(cfg.Set, idheader.Header{Name: h.Set, Value: h.Value})
		}
	}
	plan, err := idheader.Compile(cfg)
	c.errs(path+".identity_headers", err)
	return plan
}

func (c *compiler) certificates(list []config.Certificate, owner, path string) []handshake.Certificate {
	var out []handshake.Certificate
	for j, cc := range list {
		at := fmt.Sprintf("%s.certificates[%d]", path, j)
		loaded, read := keyPair(c, &cc, at, handshake.LoadCertificate)
		if !read {
			continue
		}
		if leaf := loaded.TLS.Leaf; leaf != nil {
			c.expires("server_certificate", owner, cc.Cert, leaf.NotAfter)
		}
		out = append(out, loaded)
	}
	return out
}

// keyPair reads the two files at path and has load make of them what it can; what
// that has to say of them is reported. read is false if there is nothing to load.
func keyPair[T any](c *compiler, files *config.Certificate, path string, load func(cert, key []byte) (T, []handshake.Problem)) (loaded T, read bool) {
	cert, certOK := c.read(path+".cert", files.Cert, pemSize)
	key, keyOK := c.read(path+".key", files.Key, pemSize)
	if !certOK || !keyOK {
		return loaded, false
	}
	c.secret(path+".key", files.Key)
	loaded, problems := load(cert, key)
	for _, p := range problems {
		file := files.Cert
		if p.Name == "key" {
			file = files.Key
		}
		c.problem(path+"."+p.Name, file, p)
	}
	return loaded, true
}
