package config

import (
	"regexp"
	"time"
)

// A HealthCheck asks each target from time to time whether it can serve.
type HealthCheck struct {
	// Protocol is how a target is asked: http or https (a GET request, over HTTP/2 in
	// a group of protocol h2 or grpc), grpc (a call of a method, over TLS where the
	// group or tls has it), tcp (a connection) or tls (a handshake, and that our
	// certificate is accepted). It need not be that of the group: behind a target
	// that passes bytes on, https reaches the application itself. Default http; in
	// a group of protocol https, grpc, tcp or tls that, in one of h2 https where it
	// has tls.
	Protocol string `yaml:"protocol" one:"http|https|grpc|tcp|tls" default:"http"`

	// Port is another one of the target's to ask. No PROXY header is sent there.
	// Default 0, that of its address.
	Port int `yaml:"port" default:"0" range:"0..65535"`

	// Host is for which host http, https and grpc ask. Left out: the target's
	// address.
	Host string `yaml:"host"`

	// TLS is how https, tls and grpc verify the target, and what they show. Left out:
	// as the group does.
	TLS *TargetTLS `yaml:"tls"`

	// Path is what http and https ask for, query included, or which method grpc calls,
	// with an empty message. Of grpc.health.v1.Health, the standard service, the
	// answer must be SERVING. Default /, or /grpc.health.v1.Health/Check with
	// grpc.
	Path string `yaml:"path" is:"health path" default:"/"`

	// Interval is the time between two checks of a target. Default 10s.
	Interval time.Duration `yaml:"interval" default:"10s" range:"10ms..1h"`

	// Timeout bounds one check. It is at most the interval. Default 5s, or the
	// interval if that is shorter.
	Timeout time.Duration `yaml:"timeout" default:"5s" range:"1ms..1h"`

	// Healthy is how many checks in a row must pass before an unhealthy target
	// is used again. Default 2.
	Healthy int `yaml:"healthy" default:"2" range:"1..100"`

	// Unhealthy is how many in a row must fail before a healthy one is not.
	// Default 2.
	Unhealthy int `yaml:"unhealthy" default:"2" range:"1..100"`

	// Matcher is which codes pass, alone and in ranges, such as "200,204" or
	// "200-299": of HTTP, 200 to 599, or with grpc of gRPC, 0 to 99. Default
	// 200-399, or 0 with grpc.
	Matcher Matcher `yaml:"matcher" want:"codes such as 200-399 or 200,204" default:"200-399"`
}

func (h *HealthCheck) checkTimes(c *checker, path string) {
	if h.Timeout > h.Interval && !c.doc.Refused(path+".interval") {
		if c.doc.Has(path + ".timeout") {
			c.fault(path+".timeout", h.Timeout.String(), "at most the interval, which is "+h.Interval.String(), "")
		}
		h.Timeout = h.Interval
	}
}

// check holds what h asks for against the protocol that it asks by, and that
// against the group. So are some defaults.
func (h *HealthCheck) check(c *checker, path string, g *TargetGroup) {
	if !c.doc.Has(path + ".protocol") {
		switch g.Protocol {
		case "https", "grpc", "tcp", "tls":
			h.Protocol = g.Protocol
		case "h2":
			if g.TLS != nil {
				h.Protocol = "https"
			}
		}
	}
	switch h.Protocol {
	case "http", "https":
		h.checkMatcher(c, path, CodeRange{200, 599}, "statuses from 200 to 599, such as 200-399 or 200,204", "")
	case "grpc":
		h.checkGRPC(c, path, g.Protocol)
	case "tcp", "tls":
		for _, key := range []string{"path", "host", "matcher"} {
			if c.doc.Has(path + "." + key) {
				c.fault(path+"."+key, key+" with protocol "+h.Protocol, "protocol http, https or grpc", "leave it out: a "+h.Protocol+" check only connects")
			}
		}
	}
	h.checkTLS(c, path, g)
}

// checkTLS asks whether it is known how the target is verified, where it has to be.
func (h *HealthCheck) checkTLS(c *checker, path string, g *TargetGroup) {
	switch secure := h.Protocol == "https" || h.Protocol == "tls"; {
	case h.TLS == nil && secure && !g.OverTLS():
		c.fault(path+".protocol", quoted(h.Protocol)+" in a group of protocol "+g.Protocol, "tls beside it",
			"say how the target is verified, and what it is shown: health_check.tls: {ca_bundle: FILE, certificate: {cert: FILE, key: FILE}}")
	case h.TLS != nil && !secure && h.Protocol != "grpc":
		c.fault(path+".tls", "tls with protocol "+h.Protocol, "protocol https, tls or grpc", "leave it out: nothing is said over TLS")
	case h.TLS != nil:
		like := &TargetGroup{Protocol: h.Protocol, TLS: h.TLS}
		like.checkTLS(c, path)
	}
}

// Secure reports whether the check is over TLS.
func (h *HealthCheck) Secure(g *TargetGroup) bool {
	return h.Protocol == "https" || h.Protocol == "tls" || h.Protocol == "grpc" && (h.TLS != nil || g.OverTLS())
}

// grpcMethod is the :path of a gRPC call; a query has no place in it.
var grpcMethod = regexp.MustCompile(`^/[^?]+/[^?]+$`)

func (h *HealthCheck) checkGRPC(c *checker, path, group string) {
	if group == "http" || group == "https" {
		c.fault(path+".protocol", `"grpc" in a group of protocol `+group, "http or tcp", "gRPC needs HTTP/2: set protocol: grpc, or h2, of the group")
		return
	}
	if !c.doc.Has(path + ".path") {
		h.Path = "/grpc.health.v1.Health/Check"
	} else if !grpcMethod.MatchString(h.Path) {
		c.fault(path+".path", quoted(h.Path), "the path of a gRPC method: /SERVICE/METHOD", "without one, /grpc.health.v1.Health/Check is called")
	}
	if !c.doc.Has(path + ".matcher") {
		h.Matcher = Matcher{{0, 0}}
	}
	h.checkMatcher(c, path, CodeRange{0, 99}, "gRPC codes from 0 to 99, such as 0 or 0,12", "0 is OK, 12 is UNIMPLEMENTED")
}

// checkMatcher reports a matcher with codes that are not within.
func (h *HealthCheck) checkMatcher(c *checker, path string, within CodeRange, expected, hint string) {
	for _, r := range h.Matcher {
		if r.From < within.From || r.To > within.To {
			c.fault(path+".matcher", quoted(h.Matcher.String()), expected, hint)
			return
		}
	}
}
