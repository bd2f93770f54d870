package publish

import (
	"fmt"

	"countersign.dev/internal/config"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/shares"
)

// sharing compiles how g shares out its requests among its targets.
func (c *compiler) sharing(g *config.TargetGroup, out *upstream.GroupConfig) {
	out.Algorithm, out.HashOn = g.Algorithm, g.HashOn
	out.AnomalyMitigation = g.AnomalyMitigation == "on"
	out.Zone, out.OwnZone = c.cfg.Node.Zone, !g.CrossZone
	out.SlowStart = g.SlowStart
	out.MaxConnections = g.MaxConnections
	out.Queue = upstream.QueueConfig{Length: g.Queue.Length, Timeout: g.Queue.Timeout}
	if g.Queue.Length == 0 {
		out.Queue.Length = -1 // the file's 0 is "nobody", not "as usual"
	}
	out.Terms = map[string]shares.Terms{}
	for _, t := range g.Targets {
		out.Targets = append(out.Targets, t.Address)
		out.Terms[t.Address] = shares.Terms{Weight: t.Weight, Zone: t.Zone}
	}
	if p := g.PassiveHealth; p != nil {
		out.Passive = &shares.PassiveHealth{
			Failures: p.Failures, Ejection: p.Ejection, MaxEjected: p.MaxEjected, Statuses: p.Statuses.Match,
		}
	}
	if s := g.Stickiness; s != nil {
		out.Stickiness = &upstream.Stickiness{By: s.By, Duration: s.Duration}
		if s.By == "cookie" {
			out.Stickiness.Cookie = &sticky.Cookie{
				Name: cookieName(g), Purpose: "target of group " + g.Name, Duration: s.Duration, SameSite: sameSite[s.SameSite],
				Keys: c.draft.sealing,
			}
		}
	}
}

// sameSite is how RFC 6265bis writes the words of the configuration.
var sameSite = map[string]string{"lax": "Lax", "strict": "Strict", "none": "None"}

// sealing reads the keys of cookies, if the configuration names a file. Else they
// are the publisher's to make.
func (c *compiler) sealing() {
	file := c.cfg.Node.StickinessKeys
	data, ok := c.read("node.stickiness_keys", file, keysSize)
	if !ok {
		return
	}
	keys, err := parseSealing(data)
	if err != nil {
		c.fault("node.stickiness_keys", fmt.Sprintf("%s: %v", file, err), "keys of 32 bytes in base64, one a line", "head -c 32 /dev/urandom | base64 makes one")
		return
	}
	c.draft.sealing = keys
}

// cookieName is that of the configuration, or one that is this group's alone and
// does not tell its name.
func cookieName(g *config.TargetGroup) string {
	if g.Stickiness.Cookie != "" {
		return g.Stickiness.Cookie
	}
	return fmt.Sprintf("countersign-%08x", uint32(balance.KeyOfString(g.Name)))
}

// targetGroups is what metrics show of them.
func (p *Publisher) targetGroups() []telemetry.TargetGroup {
	status := p.cfg.Fleet.Status()
	all := make([]telemetry.TargetGroup, len(status))
	for i, g := range status {
		all[i] = telemetry.TargetGroup{Name: g.Name, Waiting: g.Waiting}
		for _, n := range g.Names {
			all[i].Names = append(all[i].Names, telemetry.ResolvedName{Name: n.Name, Targets: n.Targets, Good: n.Error == ""})
		}
		for _, t := range g.Targets {
			if t.State == health.Draining {
				continue
			}
			all[i].Targets = append(all[i].Targets, telemetry.Target{
				Address: t.Address, Healthy: t.State == health.Healthy, Share: t.Share * float64(t.Weight),
				Ejected: !t.EjectedUntil.IsZero(), Ejections: t.Ejections, InFlight: t.InFlight, ConnectErrors: t.ConnectErrors,
			})
		}
	}
	return all
}
