package publish

import (
	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// healthCheck compiles how the targets of out are asked; nil: they are not.
func (c *compiler) healthCheck(g *config.TargetGroup, out *upstream.GroupConfig, path string) *health.Config {
	h := g.HealthCheck
	if h == nil {
		return nil
	}
	check := &health.Config{
		Protocol: h.Protocol, Interval: h.Interval, Timeout: h.Timeout, Healthy: h.Healthy, Unhealthy: h.Unhealthy, Port: h.Port,
	}
	switch h.Protocol {
	case "http", "https":
		check.HTTP2 = g.Protocol == "h2" || g.Protocol == "grpc"
		fallthrough
	case "grpc": // tcp and tls have no use for them
		check.Path, check.Host, check.Matcher = h.Path, h.Host, h.Matcher.String()
	}
	if h.Secure(g) {
		before := len(c.faults)
		if check.TLS = c.checkedOver(g, check, out.TLS, path); check.TLS == nil && c.faults[before:].Err() == nil {
			return nil // the group's tls has been complained about
		}
		if check.TLS == nil {
			return nil
		}
	}
	c.errs(path, check.Validate())
	return check
}

// checkedOver is how a check speaks TLS: as the group does where that is the same, so that
// sessions are shared. nil: there is a fault.
func (c *compiler) checkedOver(g *config.TargetGroup, check *health.Config, groups *secure.Client, path string) *secure.Client {
	protocols, demanded := []string(nil), false
	switch {
	case check.HTTP2 || check.Protocol == "grpc":
		protocols, demanded = []string{"h2"}, true
	case check.Protocol == "https":
		protocols = []string{"http/1.1"}
	}
	own := g.HealthCheck.TLS
	if own == nil && g.OverTLS() {
		if groups == nil {
			return nil
		}
		if g.Protocol == check.Protocol || check.HTTP2 || check.Protocol == "grpc" && g.Protocol == "h2" {
			return groups
		}
		own = g.TLS
		path = path[:len(path)-len(".health_check")]
	}
	like := config.TargetGroup{Name: g.Name + " health_check", Protocol: "tls", TLS: &config.TargetTLS{Verify: true}}
	if own != nil {
		copied := *own
		like.TLS = &copied
	}
	if check.Protocol != "tls" {
		like.TLS.ALPN = protocols
	}
	before := len(c.faults)
	settings := secure.Config{Demanded: demanded}
	c.targetSettings(&settings, &like, path+".tls")
	if c.faults[before:].Err() != nil {
		return nil
	}
	client, err := secure.New(settings)
	if err != nil {
		c.errs(path+".tls", err)
		return nil
	}
	if c.options.InForce != nil {
		for _, was := range c.options.InForce.Groups {
			if was.Name == g.Name && was.Health != nil && client.Same(was.Health.TLS) {
				return was.Health.TLS
			}
		}
	}
	return client
}
