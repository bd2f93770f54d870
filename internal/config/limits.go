package config

import "time"

// Limits bound what a message may take, as sizes whose defaults are AWS's, and
// what clients that come all at once.
type Limits struct {
	// RequestLine bounds the first line: method, target, version. Beyond: 414.
	// Default 16KiB.
	RequestLine int64 `yaml:"request_line" default:"16KiB" range:"256B..1MiB"`

	// Header bounds one header line, those added about the client included.
	// Beyond: 431. Default 16KiB.
	Header int64 `yaml:"header" default:"16KiB" range:"256B..1MiB"`

	// Headers bounds all of them together. Beyond: 431. Default 64KiB.
	Headers int64 `yaml:"headers" default:"64KiB" range:"256B..4MiB"`

	// Body bounds the body of a request. Beyond: 413. Default 0, no bound.
	Body int64 `yaml:"body" default:"0" range:"0.."`

	// ResponseHeaders bounds the head of a target's response. Beyond: 502.
	// Default 32KiB.
	ResponseHeaders int64 `yaml:"response_headers" default:"32KiB" range:"256B..4MiB"`

	// Handshakes bounds how many TLS handshakes compute at a time, with https and tls,
	// so that a fleet that comes back after an outage does not hold up the
	// connections there are. The others wait, those that have begun before those
	// that have not, for as long as timeouts.handshake allows. A client that is
	// waited for does not count. Default 0: half as many as there are CPUs, at
	// least one, whenever more than four for each CPU are under way.
	Handshakes int `yaml:"handshakes" default:"0" range:"0..100000"`

	// WaitingHandshakes bounds how many wait for their turn; each takes some
	// 20 KiB of memory. Beyond: closed at once. Default 10000.
	WaitingHandshakes int `yaml:"waiting_handshakes" default:"10000" range:"1..1000000"`

	// CredentialFailures bounds how many credentials a minute that do not hold may
	// come from one address, or one IPv6 /64. Beyond: 429, whatever it shows, until
	// some of the minute has passed. Default 60; 0 for no bound.
	CredentialFailures int `yaml:"credential_failures" default:"60" range:"0..1000000"`
}

func (l *Limits) check(c *checker, path string) {
	if l.Header > l.Headers {
		c.fault(path+".header", sized(l.Header), "at most limits.headers, which is "+sized(l.Headers), "one header must fit into all of them")
	}
}

// Timeouts bound how long a client or a target may take.
type Timeouts struct {
	// Handshake: from the connection, or the end of its PROXY header, to the end
	// of the TLS handshake. Default 10s.
	Handshake time.Duration `yaml:"handshake" default:"10s" range:"1ms..1h"`

	// Headers: from the first byte of a request to the end of its headers.
	// Beyond: 408. Default 10s.
	Headers time.Duration `yaml:"headers" default:"10s" range:"1ms..1h"`

	// Idle: between two requests, and between two reads of a body. With tls and
	// tcp: without a byte from either side. Default 60s, with tls and tcp 350s.
	Idle time.Duration `yaml:"idle" default:"60s" range:"1ms..168h"`

	// ResetIdle, with tls and tcp: an idle connection is ended by TCP resets to both
	// sides, as AWS's network balancers do, so that neither takes it for an end in
	// order. Default true.
	ResetIdle bool `yaml:"reset_idle" default:"true"`

	// Lifetime, with tls and tcp: the longest that a connection lasts, however busy
	// it is. Default 0, no bound.
	Lifetime time.Duration `yaml:"lifetime" default:"0" range:"0s..8760h"`

	// TCPKeepAlive: after so long without a byte a client is probed, and again after
	// half of that, until nine probes are left without an answer. 0: never. Default
	// 30s.
	TCPKeepAlive time.Duration `yaml:"tcp_keep_alive" default:"30s" range:"0s..168h"`

	// TCPUserTimeout: how long a client may leave bytes unacknowledged (RFC 5482);
	// Linux alone has it. Default 0, as long as the system has it.
	TCPUserTimeout time.Duration `yaml:"tcp_user_timeout" default:"0" range:"0s..168h"`

	// KeepAlive: the longest that one connection is used for new requests.
	// Default 1h.
	KeepAlive time.Duration `yaml:"keep_alive" default:"1h" range:"1ms..168h"`

	// Response: from the end of a request to the head of the target's response.
	// Beyond: 504. Default 60s.
	Response time.Duration `yaml:"response" default:"60s" range:"1ms..168h"`
}
