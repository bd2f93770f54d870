package publish

import (
	"countersign.dev"
	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/handshake"
)

// Admin is how the admin address shows itself, and what it demands of operators.
type Admin struct {
	Certificates []handshake.Certificate // none: it speaks no TLS
	// Operators decides about those who show a certificate; nil: nobody of them
	// is one.
	Operators *handshake.Policy
}

func (c *compiler) admin() {
	a := &c.cfg.Node.Admin
	c.draft.Admin.Certificates = c.certificates(a.Certificates, "node.admin", "node.admin")
	if a.TrustStore == "" {
		return
	}
	if p, ok := c.policy("node.admin", &config.ClientAuth{Mode: countersign.ClientAuthVerify, TrustStore: a.TrustStore}, nil); ok {
		c.draft.Admin.Operators = p
	}
}
