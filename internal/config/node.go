package config

import (
	"fmt"
	"time"
)

// A Node is about the program as a whole.
type Node struct {
	// Admin is where operators look and act: /healthz, /readyz, /metrics, and the
	// management API.
	Admin Admin `yaml:"admin"`

	// MaxConnections bounds the connections of all listeners together; one
	// more is closed at once. Default 100000.
	MaxConnections int `yaml:"max_connections" default:"100000" range:"1..10000000"`

	// ShutdownTimeout is how long SIGTERM waits for requests under way; a
	// second signal exits at once. Default 30s.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"30s" range:"0s..1h"`

	// DataDir is the directory of what the node itself has to remember: the last
	// good copy of everything that is fetched, so that a start without network
	// still enforces it, the token of the management API and its audit trail.
	// Required as soon as something is fetched. Left out: the node remembers
	// nothing, and the management API is off. Each node has a directory of its own.
	DataDir string `yaml:"data_dir" is:"directory"`

	// SeenClients is of how many clients' certificates the node remembers, in
	// data_dir, when they were last seen: countersign trust diff asks each of them.
	// Those not seen for the longest are forgotten first; 0 remembers none. About
	// 100 bytes of memory and a kilobyte on disk each. Default 100000.
	SeenClients int `yaml:"seen_clients" default:"100000" range:"0..10000000"`

	// Store is where devices are kept: sqlite, a file in data_dir, for one node; or
	// postgres://USER@HOST:5432/DATABASE, for nodes that share them. Keep a password
	// out of this file: ${ENV} in the URL, or file:PATH of a file that has the URL.
	// A change takes effect when the program starts anew. Default sqlite.
	Store string `yaml:"store" default:"sqlite" is:"store"`

	// Revocation is where the authorities publish what they have revoked. Left out:
	// at the admin address, and in files.
	Revocation *RevocationService `yaml:"revocation"`

	// Health is what /healthz depends on. Left out: on nothing but the node itself.
	Health *NodeHealth `yaml:"health"`

	// Signing is about the keys of the identity header dialect token.
	Signing Signing `yaml:"signing"`

	// TicketKeys is a file with the keys of session tickets: one a line, when it was
	// made (RFC 3339) and 32 bytes in base64. The latest one seals, for a day; each
	// opens for a day more. Nodes with the same keys resume each other's sessions, and
	// their own after a restart. Whoever else has them can pass for any client. Left
	// out: a key of the node's own, in memory alone.
	TicketKeys string `yaml:"ticket_keys" is:"file"`

	// Zone is where this node is, for target groups with cross_zone: false.
	Zone string `yaml:"zone" is:"name"`

	// StickinessKeys is a file with the keys of the cookies of stickiness: one a
	// line, 32 bytes in base64. The first one seals; all of them open, so that a new
	// one is put in front, and an old one is removed a week later. Nodes with the same
	// keys read each other's cookies. Left out: a key is made in data_dir,
	// stickiness.keys.
	StickinessKeys string `yaml:"stickiness_keys" is:"file"`
}

// Admin is the address for operators. It may be written as the address alone:
// admin: off. The management API takes the token in data_dir from callers on the
// same machine, and certificates of trust_store from everybody.
type Admin struct {
	// Address is an IP address with a port, or off. It is empty when switched
	// off. Default 127.0.0.1:9901.
	Address string `yaml:"address,required,alone" default:"127.0.0.1:9901" is:"admin address"`

	// Certificates are what the address shows of itself; with any, it speaks TLS
	// alone. Left out: plain HTTP.
	Certificates []Certificate `yaml:"certificates"`

	// TrustStore names the trust store of operators: whoever has a certificate
	// that it accepts may use the management API, from anywhere. Needs
	// certificates. Left out: callers on the same machine, with the token.
	TrustStore string `yaml:"trust_store"`
}

// NodeHealth has a balancer in front take the node out when it has nobody left to
// serve with.
type NodeHealth struct {
	// TargetGroups must each have a target that is healthy, or /healthz answers
	// 503. One without health_check is always healthy.
	TargetGroups []string `yaml:"target_groups,required" want:"the name of a target group"`
}

func (h *NodeHealth) check(c *checker, path string) {
	for i, name := range h.TargetGroups {
		at := fmt.Sprintf("%s.target_groups[%d]", path, i)
		serves := c.groups.used[name]
		c.refer(at, name, c.groups, "target group")
		c.groups.used[name] = serves // to be asked about is no use of it
		for _, g := range c.TargetGroups {
			if g.Name == name && g.HealthCheck == nil {
				c.doc.Report(c.Warn(at, quoted(name)+", which has no health_check", "", "its targets are taken for healthy, whatever becomes of them"))
			}
		}
	}
}

func (a *Admin) check(c *checker, path string) {
	checkEachOnce(c, a.Certificates, path)
	switch {
	case a.Address == "" && len(a.Certificates) > 0:
		c.fault(path+".certificates", "certificates with address off", "an address", "leave them out, or say where operators connect")
	case a.TrustStore != "" && len(a.Certificates) == 0:
		c.fault(path+".trust_store", quoted(a.TrustStore)+" without certificates", "certificates beside it",
			"only with TLS can operators show theirs: certificates: {cert: FILE, key: FILE}")
	}
	if a.TrustStore != "" {
		c.refer(path+".trust_store", a.TrustStore, c.stores, "trust store")
	}
}
