package config

import (
	"testing"
	"time"
)

func TestATokenIsAWordOrAMapping(t *testing.T) {
	const rest = `
    default: {forward: api}
target_groups:
  - {name: api, targets: "127.0.0.1:9001"}
`
	for written, want := range map[string]Token{
		"[aws, token]":                 {Header: "X-Client-Identity-Token", Lifetime: time.Minute, Issuer: "countersign"},
		"token":                        {Header: "X-Client-Identity-Token", Lifetime: time.Minute, Issuer: "countersign"},
		"[{token: {issuer: gw}}, aws]": {Header: "X-Client-Identity-Token", Lifetime: time.Minute, Issuer: "gw"},
		"{token: {header: X-Who, lifetime: 5m, audience: apps, jwks_path: /jwks.json}}": {
			Header: "X-Who", Lifetime: 5 * time.Minute, Issuer: "countersign", Audience: "apps", JWKSPath: "/jwks.json"},
	} {
		c, faults := Parse("c.yaml", []byte(`
node: {signing: {rotate: 12h}}
listeners:
  - name: web
    address: ":8443"
    protocol: https
    certificates: {cert: s.crt, key: s.key}
    identity_headers: `+written+rest), "dir")
		if len(faults) > 0 {
			t.Errorf("%s: %v", written, faults)
			continue
		}
		compare(t, want, *c.Listeners[0].Token())
		compare(t, []string{want.Header}, c.OwnHeaders())
		if c.Node.Signing.Rotate != 12*time.Hour || !c.States() {
			t.Errorf("%s: %+v, states %v", written, c.Node.Signing, c.States())
		}
	}
	c, faults := Load("testdata/least.good.yaml")
	if len(faults) > 0 || c.States() || c.Listeners[0].Token() != nil {
		t.Errorf("a configuration without tokens states something: %v", faults)
	}
}
