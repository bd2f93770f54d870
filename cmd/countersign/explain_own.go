package main

import (
	"net"
	"slices"
	"strings"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ca/wellknown"
	"countersign.dev/internal/control/enroll/est"
	"countersign.dev/internal/control/enroll/initialize"
	"countersign.dev/internal/control/signing"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
)

// What the node answers itself comes before all rules: at listeners the paths that
// serve gives them, and at other addresses what the authorities publish.

// own returns the action of a path of the node's own.
func (a *asking) own(cfg *config.Config, l *snapshot.Listener, q *condition.Question) (route.Action, bool) {
	table := &route.Table{Own: new(gateway).paths(cfg, listenerConfig(cfg, l.Name))}
	action, denial := table.Match(q)
	return action, denial == nil
}

// answers says what a handler is there for.
func answers(h respond.Handler) string {
	switch h.(type) {
	case initialize.Handler:
		return "devices initialize themselves (devices.initialize)"
	case est.Handler:
		return "Enrollment over Secure Transport (est of the authority)"
	case signing.Publication:
		return "the keys that verify tokens (jwks_path of the dialect token)"
	}
	return "a path of its own"
}

// beside returns what is answered where no listener is: at the admin address, or at
// node.revocation. nil: the request is not for them.
func (a *asking) beside(cfg *config.Config) *requestExplained {
	admin := "http"
	if len(cfg.Node.Admin.Certificates) > 0 {
		admin = "https"
	}
	what, r := "", cfg.Node.Revocation
	switch atAdmin := a.scheme == admin && a.port() == portOf(cfg.Node.Admin.Address); {
	case atAdmin && string(a.request.Path) == "/.well-known/jwks.json" && cfg.States():
		what = "the keys that verify tokens, at the admin address"
	case atAdmin && a.published(cfg):
		what = "what its authority publishes, at the admin address"
	case r == nil || a.scheme != "http" || !a.published(cfg):
		return nil
	case a.port() == portOf(r.Address), strings.EqualFold("http://"+a.host, strings.TrimSuffix(r.URL, "/")):
		what = "what its authority publishes, at node.revocation"
	}
	if what == "" {
		return nil
	}
	return &requestExplained{
		Request: string(a.request.Method) + " " + a.scheme + "://" + a.host + string(a.request.Target), Path: string(a.request.Path),
		Rule: "node", Action: "node", Node: what,
	}
}

// published reports whether an authority publishes something at the path: its lists,
// its certificates, answers about them (OCSP).
func (a *asking) published(cfg *config.Config) bool {
	rest, _ := strings.CutPrefix(string(a.request.Path), wellknown.Root)
	kind, rest, _ := strings.Cut(rest, "/")
	name, _, _ := strings.Cut(rest, "/")
	return slices.ContainsFunc(cfg.Authorities, func(c config.Authority) bool {
		switch kind {
		case "crl", "ca":
			return strings.TrimSuffix(name, ".pem") == c.Name
		case "ocsp":
			return name == c.Name && c.OCSP
		}
		return false
	})
}

// port is the one of the URL.
func (a *asking) port() string {
	if port := portOf(a.host); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[a.scheme]
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
