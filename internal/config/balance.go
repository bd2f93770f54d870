package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Stickiness keeps a client at the target that served it before, for as long as
// that is usable: healthy, not ejected, and with a place if max_connections says
// how many there are. Else another target serves it, and is its target from then
// on.
type Stickiness struct {
	// By is how a client is known: cookie, which it is given and brings back; client,
	// by its device or its verified certificate; or source_ip. Clients without a
	// verified certificate are known by their address in a group that goes by
	// client. Default cookie.
	By string `yaml:"by" one:"cookie|client|source_ip" default:"cookie"`

	// Duration is for how long a client is kept after it was served last; that of
	// a cookie is renewed when a tenth of it is over. Default 24h.
	Duration time.Duration `yaml:"duration" default:"24h" range:"1s..168h"`

	// Cookie is the name of the cookie. It is encrypted and authenticated; one that
	// was tampered with, belongs to another group or is over is ignored. Targets get
	// it with the other cookies. Left out: countersign- with digits that stand for
	// the group.
	Cookie string `yaml:"cookie" is:"token"`

	// SameSite is what browsers are told of requests from other sites: lax, strict
	// or none. Default lax.
	SameSite string `yaml:"same_site" one:"lax|strict|none" default:"lax"`
}

// A Queue is where requests wait while every target has max_connections.
type Queue struct {
	// Length is how many wait, of the whole group; one more is answered with 503
	// at once. Default 1000.
	Length int `yaml:"length" default:"1000" range:"0..1000000"`

	// Timeout is how long one waits, before it is answered with 503. Default 10s.
	Timeout time.Duration `yaml:"timeout" default:"10s" range:"1ms..10m"`
}

// A PassiveHealth leaves targets out that fail requests, beside what health checks
// say. A failure is a connection that cannot be made, no answer, no valid answer,
// or one of the statuses.
type PassiveHealth struct {
	// Failures is how many in a row make a target be left out. Default 5.
	Failures int `yaml:"failures" default:"5" range:"1..1000"`

	// Ejection is for how long it is left out. Default 30s.
	Ejection time.Duration `yaml:"ejection" default:"30s" range:"1s..1h"`

	// MaxEjected is how many of the healthy targets may be left out at a time, in
	// percent, rounded up. One always stays. Default 50.
	MaxEjected int `yaml:"max_ejected" default:"50" range:"1..100"`

	// Statuses are those that count as failures, not with protocols tcp and tls.
	// Default 502-504.
	Statuses Matcher `yaml:"statuses" want:"codes such as 502-504 or 500,503" default:"502-504"`
}

// checkBalance holds together what says how a group shares out its requests.
func (g *TargetGroup) checkBalance(c *checker, path string) {
	if c.doc.Has(path+".hash_on") && g.Algorithm != "hash" && !c.doc.Refused(path+".algorithm") {
		c.doc.Report(c.Warn(path+".hash_on", "hash_on with algorithm "+g.Algorithm, "", "it has no effect: set algorithm: hash, or leave hash_on out"))
	}
	if g.AnomalyMitigation == "on" && g.Algorithm != "weighted_random" {
		c.fault(path+".anomaly_mitigation", "on with algorithm "+g.Algorithm, "algorithm weighted_random", "AWS has it with that algorithm alone, too")
	}
	if g.SlowStart > 0 && g.Algorithm != "round_robin" {
		hint := "AWS has slow start with round_robin alone, too"
		if g.Algorithm == "hash" {
			hint = "a share that grows would move clients from target to target all the time"
		}
		c.fault(path+".slow_start", "slow_start with algorithm "+g.Algorithm, "algorithm round_robin", hint)
	}
	if c.doc.Has(path+".queue") && g.MaxConnections == 0 && !c.doc.Refused(path+".max_connections") {
		c.fault(path+".queue", "a queue without max_connections", "max_connections", "targets take any number of requests: nobody would ever wait")
	}
	if p := g.PassiveHealth; p != nil {
		if at := path + ".passive_health.statuses"; c.doc.Has(at) && g.Streams() {
			c.fault(at, "statuses in a group of protocol "+g.Protocol, "none", "the bytes that pass have no status: what counts is a connection that cannot be made")
		}
		for _, r := range p.Statuses {
			if r.From < 400 || r.To > 599 {
				c.fault(path+".passive_health.statuses", quoted(p.Statuses.String()), "statuses from 400 to 599, such as 502-504", "")
				break
			}
		}
	}
	g.checkStickiness(c, path)
	g.checkShares(c, path)
}

func (g *TargetGroup) checkStickiness(c *checker, path string) {
	if g.Streams() && strings.HasPrefix(g.HashOn, "header:") {
		c.fault(path+".hash_on", quoted(g.HashOn)+" in a group of protocol "+g.Protocol, "client, source_ip or flow", "the bytes that pass have no header")
	}
	s := g.Stickiness
	if s == nil || c.doc.Refused(path+".stickiness.by") {
		return
	}
	for i := range c.TargetGroups {
		other := &c.TargetGroups[i]
		if other == g {
			break
		}
		if o := other.Stickiness; o != nil && s.By == "cookie" && o.By == "cookie" && s.Cookie != "" && o.Cookie == s.Cookie {
			c.fault(path+".stickiness.cookie", quoted(s.Cookie)+" again", "a name of its own",
				fmt.Sprintf("target group %s has it: a client of both would lose its target with each request", quoted(other.Name)))
		}
	}
	switch {
	case s.By == "cookie" && g.Streams():
		c.fault(path+".stickiness.by", "cookie in a group of protocol "+g.Protocol, "client or source_ip", "the bytes that pass have no cookies")
	case s.By == "cookie":
		if c.Node.DataDir == "" && c.Node.StickinessKeys == "" {
			c.doc.Report(c.Warn(path+".stickiness", "a cookie, and no node.data_dir or node.stickiness_keys", "either",
				"the key of the cookies is made anew with each start: clients lose their targets then"))
		}
	default:
		for _, key := range []string{"cookie", "same_site"} {
			if c.doc.Has(path + ".stickiness." + key) {
				c.fault(path+".stickiness."+key, key+" with by: "+s.By, "by: cookie", "leave it out: clients get no cookie")
			}
		}
	}
}

// checkShares looks at weights and zones.
func (g *TargetGroup) checkShares(c *checker, path string) {
	if len(g.Targets) > 0 && !slices.ContainsFunc(g.Targets, func(t Target) bool { return t.Weight > 0 }) {
		c.fault(path+".targets", "weight 0 for every target", "a weight above 0 for one at least", "nobody would serve requests")
	}
	zones := map[string]bool{}
	for _, t := range g.Targets {
		if t.Zone != "" {
			zones[t.Zone] = true
		}
	}
	if g.CrossZone || c.doc.Refused(path+".cross_zone") {
		return
	}
	var known []string
	for zone := range zones {
		known = append(known, zone)
	}
	slices.Sort(known)
	switch own := c.Node.Zone; {
	case len(zones) == 0:
		c.fault(path+".cross_zone", "false, and no target has a zone", "targets with zones", "write {address: HOST:PORT, zone: ZONE}")
	case own == "" && !c.doc.Refused("node.zone"):
		c.fault(path+".cross_zone", "false without node.zone", "node.zone", fmt.Sprintf("say where this node is; zones here: %s", quotedList(known)))
	case own != "" && !zones[own]:
		c.doc.Report(c.Warn(path+".cross_zone", fmt.Sprintf("false, and no target in zone %q", own), "targets in the zone of this node",
			fmt.Sprintf("the targets of all zones are used: %s", quotedList(known))))
	}
}

// hashKey is what algorithm hash can go by.
func hashKey(s string) (clean, hint string, ok bool) {
	switch s {
	case "client", "source_ip", "flow":
		return s, "", true
	}
	name, isHeader := strings.CutPrefix(s, "header:")
	if _, _, ok := tokenWord(name); !isHeader || !ok {
		return "", "", false
	}
	return "header:" + strings.ToLower(name), "", true
}

// serviceName is what an SRV record has (RFC 2782).
var serviceName = regexp.MustCompile(`^_[a-z0-9-]{1,62}\._[a-z0-9-]{1,62}\.(.+)$`)

// resolvedName reads dns:HOST:PORT and srv:_SERVICE._PROTOCOL.NAME, behind which
// there may be any number of targets.
func resolvedName(s string) (clean, hint string, ok, isName bool) {
	clean = strings.TrimSuffix(strings.ToLower(s), ".")
	if rest, isHost := strings.CutPrefix(clean, "dns:"); isHost {
		host, port, err := net.SplitHostPort(rest)
		_, notIP := netip.ParseAddr(host)
		if err != nil || !isPort(port) || notIP == nil || !isHostname(strings.TrimSuffix(host, ".")) {
			return "", "behind dns: there is a host name with a port, such as dns:api.example.com:8080", false, true
		}
		return clean, "", true, true
	}
	rest, isService := strings.CutPrefix(clean, "srv:")
	if !isService {
		return "", "", false, false
	}
	parts := serviceName.FindStringSubmatch(rest)
	if parts == nil || !isHostname(parts[1]) {
		return "", "behind srv: there is the name of a service, such as srv:_http._tcp.api.example.com; it says the port, too", false, true
	}
	return clean, "", true, true
}
