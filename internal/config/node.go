package config

import "time"

// A Node is about the program as a whole.
type Node struct {
	// Admin is where operators look: /healthz, /readyz, /metrics.
	Admin Admin `yaml:"admin"`

	// MaxConnections bounds the connections of all listeners together; one
	// more is closed at once. Default 100000.
	MaxConnections int `yaml:"max_connections" default:"100000" range:"1..10000000"`

	// ShutdownTimeout is how long SIGTERM waits for requests under way; a
	// second signal exits at once. Default 30s.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"30s" range:"0s..1h"`

	// DataDir is the directory of what the node itself has to remember: the last
	// good copy of everything that is fetched, so that a start without network
	// still enforces it. Required as soon as something is fetched. Left out: the
	// node remembers nothing.
	DataDir string `yaml:"data_dir" is:"directory"`

	// Store is where nodes keep what they share.
	_ later `yaml:"store" hint:"today nodes share nothing: leave it out"`

	// Zone of this node, for balancing within a zone.
	_ later `yaml:"zone" hint:"today every target is used alike: leave it out"`
}

// Admin is the address for operators. It may be written as the address alone:
// admin: off.
type Admin struct {
	// Address is an IP address with a port, or off. It is empty when switched
	// off. Default 127.0.0.1:9901.
	Address string `yaml:"address,required,alone" default:"127.0.0.1:9901" is:"admin address"`
}
