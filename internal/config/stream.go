package config

import (
	"fmt"
	"slices"
	"time"

	"countersign.dev"
)

// Listeners that pass bytes on, whatever these mean: protocols tls and tcp.

// idleStream is timeouts.idle of a listener that passes bytes on: that of AWS's
// network balancers.
const idleStream = 350 * time.Second

// Streams reports whether the listener passes bytes on, and no requests.
func (l *Listener) Streams() bool { return l.Protocol == "tls" || l.Protocol == "tcp" }

// Secure reports whether TLS ends at the listener.
func (l *Listener) Secure() bool { return l.Protocol == "https" || l.Protocol == "tls" }

// httpKeys are about requests, with what to do instead.
var httpKeys = []struct{ key, hint string }{
	{"identity_headers", "leave it out: bytes have no headers. target_groups[].proxy_protocol tells targets who the client is"},
	{"forwarded", "leave it out: bytes have no headers. target_groups[].proxy_protocol tells targets the client's address"},
	{"limits.request_line", "leave it out: there are no requests"},
	{"limits.header", "leave it out: there are no requests"},
	{"limits.headers", "leave it out: there are no requests"},
	{"limits.body", "leave it out: there are no requests"},
	{"limits.response_headers", "leave it out: there are no requests"},
	{"limits.credential_failures", "leave it out: bytes show no credentials"},
	{"timeouts.headers", "leave it out: there are no requests"},
	{"timeouts.response", "leave it out: there are no requests"},
	{"timeouts.keep_alive", "timeouts.lifetime bounds how long a connection lasts"},
}

// tlsKeys are about TLS.
var tlsKeys = []struct{ key, hint string }{
	{"certificates", "leave it out, or use protocol tls: with tcp, TLS goes through to the target"},
	{"tls", "leave it out, or use protocol tls: with tcp, TLS goes through to the target"},
	{"client_auth", "leave it out, or use protocol tls: only where TLS ends can a certificate be asked for"},
	{"server_names", "leave it out, or use protocol tls: only where TLS ends can a certificate be asked for"},
	{"limits.handshakes", "leave it out: there are no handshakes"},
	{"limits.waiting_handshakes", "leave it out: there are no handshakes"},
}

// checkStream holds a listener that passes bytes on against what only others can do.
func (l *Listener) checkStream(c *checker, path string) {
	for _, k := range httpKeys {
		if c.doc.Has(path + "." + k.key) {
			c.fault(path+"."+k.key, k.key+" with protocol "+l.Protocol, "protocol https or http", k.hint)
		}
	}
	if l.Protocol == "tcp" {
		for _, k := range tlsKeys {
			if c.doc.Has(path+"."+k.key) && (k.key != "client_auth" || !l.proxied()) {
				c.fault(path+"."+k.key, k.key+" with protocol tcp", "protocol tls", k.hint)
			}
		}
	}
	l.ClientAuth.checkCloses(c, path+".client_auth", l.Protocol)
	for i := range l.ServerNames {
		l.ServerNames[i].ClientAuth.checkCloses(c, fmt.Sprintf("%s.server_names[%d].client_auth", path, i), l.Protocol)
	}
	if !c.doc.Has(path + ".timeouts.idle") {
		l.Timeouts.Idle = idleStream
	}
	if a := c.Logs.Access; a != nil && a.Format == "combined" {
		c.doc.Report(c.Warn(path+".protocol", l.Protocol+", with logs.access.format: combined", "format aws or json",
			"combined is about requests: the connections of this listener have no line in the access log"))
	}
}

// checkCloses refuses an answer where there is no request to be answered.
func (a *ClientAuth) checkCloses(c *checker, path, protocol string) {
	if a.OnFailure == countersign.OnFailureRespond {
		c.fault(path+".on_failure", "respond with protocol "+protocol, "close", "there is no request that could be answered: a refused client gets a TLS alert")
	}
}

// checkExchanges refuses what only listeners that pass bytes on can do.
func (l *Listener) checkExchanges(c *checker, path string) {
	for _, k := range []struct{ key, hint string }{
		{"timeouts.lifetime", "timeouts.keep_alive bounds how long a connection is used for new requests"},
		{"timeouts.reset_idle", "leave it out: a connection without a request under way is closed in order"},
	} {
		if c.doc.Has(path + "." + k.key) {
			c.fault(path+"."+k.key, k.key+" with protocol "+l.Protocol, "protocol tls or tcp", k.hint)
		}
	}
	for i, name := range l.TLS.ALPN {
		at := fmt.Sprintf("%s.tls.alpn[%d]", path, i)
		switch {
		case name == "h2c":
			c.fault(at, quoted(name), "h2 or http/1.1", "h2c is HTTP/2 without TLS, which is not offered to clients")
		case name != "h2" && name != "http/1.1":
			c.fault(at, quoted(name), "h2 or http/1.1", "a listener with protocol tls may offer any protocol")
		}
	}
}

// checkPasses refuses a target group, named at path, whose targets do not speak
// what the listener passes on.
func (c *checker) checkPasses(l *Listener, path, group string) {
	i := slices.IndexFunc(c.TargetGroups, func(g TargetGroup) bool { return g.Name == group })
	if i < 0 || c.doc.Refused(item("target_groups", i)+".protocol") {
		return
	}
	g := &c.TargetGroups[i]
	switch {
	case l.Streams() && !g.Streams():
		c.fault(path, fmt.Sprintf("%q, of protocol %s", group, g.Protocol), "a target group of protocol tcp or tls",
			"a listener with protocol "+l.Protocol+" passes bytes on; https and http pass requests on")
	case (l.Protocol == "https" || l.Protocol == "http") && g.Streams():
		c.fault(path, fmt.Sprintf("%q, of protocol %s", group, g.Protocol), "a target group of protocol http, https, h2 or grpc",
			"a listener with protocol "+l.Protocol+" passes requests on; tls and tcp pass bytes on")
	}
}

// Streams reports whether the targets get bytes, and no requests.
func (g *TargetGroup) Streams() bool { return g.Protocol == "tcp" || g.Protocol == "tls" }

// ConnectionTermination says which connections to targets end while bytes still
// pass, under the names of AWS's attributes of network balancers.
type ConnectionTermination struct {
	// Deregistration ends those to a target that is no longer listed, when
	// deregistration_delay is over. Without it they last for as long as both sides
	// want. Default true.
	Deregistration bool `yaml:"deregistration" default:"true"`

	// Unhealthy ends those to a target that turns unhealthy, at once: clients come
	// again, and get another target. While a group fails open there is no better one,
	// and none end. Default true.
	Unhealthy bool `yaml:"unhealthy" default:"true"`

	// UnhealthyDrainingInterval, with unhealthy: false, ends them when the target has
	// been unhealthy for so long. Meanwhile it gets no new ones, and once it is healthy
	// again, all is as before. Default 0, never.
	UnhealthyDrainingInterval time.Duration `yaml:"unhealthy_draining_interval" default:"0" range:"0s..100h"`
}

// TargetTimeouts say when a target is given up that is gone without a word.
type TargetTimeouts struct {
	// TCPKeepAlive: after so long without a byte a target is probed, and again after
	// half of that, until nine probes are left without an answer. 0: never. Default
	// 15s.
	TCPKeepAlive time.Duration `yaml:"tcp_keep_alive" default:"15s" range:"0s..168h"`

	// TCPUserTimeout: how long a target may leave bytes unacknowledged (RFC 5482);
	// Linux alone has it. Default 0, as long as the system has it.
	TCPUserTimeout time.Duration `yaml:"tcp_user_timeout" default:"0" range:"0s..168h"`
}

func (g *TargetGroup) checkTermination(c *checker, path string) {
	switch at := path + ".connection_termination"; {
	case c.doc.Refused(path + ".protocol"):
	case g.Streams() && g.ConnectionTermination == nil:
		g.ConnectionTermination = &ConnectionTermination{Deregistration: true, Unhealthy: true}
	case g.Streams() && g.ConnectionTermination.Unhealthy && g.ConnectionTermination.UnhealthyDrainingInterval > 0:
		c.fault(at+".unhealthy_draining_interval", "unhealthy_draining_interval with unhealthy: true", "unhealthy: false",
			"connections that end at once have no time to drain")
	case !g.Streams() && g.ConnectionTermination != nil:
		c.fault(at, "connection_termination with protocol "+g.Protocol, "protocol tcp or tls",
			"leave it out: requests under way finish, or end with deregistration_delay")
	}
}
