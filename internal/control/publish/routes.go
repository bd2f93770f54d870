package publish

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/config"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/forward/sticky"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/traffic/route/reading"
	"countersign.dev/internal/traffic/route/template"
)

// A routes is the rules of one listener, compiled but for the target groups, which
// live longer than a configuration.
type routes struct {
	rules    []route.Rule
	forwards [][]config.Share // of each rule
	last     route.Action
	lastly   []config.Share

	lastCookie *sticky.Cookie
}

// settling is the cookie that keeps clients at one of the target groups that share
// their requests; nil: they are not kept. It outlives a change of the groups only
// where the rule has a name.
func (c *compiler) settling(a *config.Action, l *config.Listener, rule string) *sticky.Cookie {
	if a.Stickiness == nil {
		return nil
	}
	what := l.Name + ": " + cmp.Or(rule, strings.Join(a.Groups(), " "))
	sum := fnv.New32a()
	sum.Write([]byte(what))
	return &sticky.Cookie{Name: fmt.Sprintf("countersign-group-%08x", sum.Sum32()), Purpose: "target group of " + what,
		Duration: a.Stickiness.Duration, Keys: c.draft.sealing}
}

// cookies are all that keep clients at target groups.
func (r *routes) cookies() (all []*sticky.Cookie) {
	for i := range r.rules {
		if c := r.rules[i].Cookie; c != nil {
			all = append(all, c)
		}
	}
	if r.lastCookie != nil {
		all = append(all, r.lastCookie)
	}
	return all
}

// mostFile bounds the file of an answer.
const mostFile = 64 << 10

// routes compiles rules and default of l.
func (c *compiler) routes(l *config.Listener, path string) *routes {
	out := &routes{lastly: l.Default.Forward, lastCookie: c.settling(&l.Default, l, "default")}
	for i := range l.Rules {
		r, at := &l.Rules[i], fmt.Sprintf("%s.rules[%d]", path, i)
		rule := route.Rule{Name: r.Name, Priority: i + 1}
		if r.When != nil {
			rule.When = c.conditions(r.When, at+".when")
		}
		rule.Action = c.action(r.Action(), l, at)
		rule.Action.Require = c.requirement(r.Require)
		rule.Action.Refuse = refusal(r.Refuse, rule.String(), l)
		rule.Action.Close = r.OnFailure == countersign.OnFailureClose
		rule.Cookie = c.settling(r.Action(), l, r.Name)
		c.captures(rule.When, &rule.Action, at)
		c.turns(rule.When, &rule.Action, l, at)
		out.rules, out.forwards = append(out.rules, rule), append(out.forwards, r.Forward)
	}
	out.last = c.action(&l.Default, l, path+".default")
	out.last.Refuse = refusal(l.Default.Refuse, "default", l)
	c.captures(nil, &out.last, path+".default")
	c.shadowed(out.rules, path)
	return out
}

// refusal is what a rule that says refuse answers; nil: it says something else.
func refusal(why, rule string, l *config.Listener) *countersign.Denial {
	if why == "" {
		return nil
	}
	return countersign.Deny(countersign.StageRoute, countersign.RefusedByRule, "%s (refused by %s of listener %s)", why, rule, l.Name)
}

// table completes the routes with target groups; nil ones to look at the rules alone.
func (r *routes) table(groups map[string]*upstream.Group, metrics *telemetry.ListenerMetrics) *route.Table {
	list := slices.Clone(r.rules)
	names := make([]string, len(list))
	for i := range list {
		names[i] = cmp.Or(list[i].Name, strconv.Itoa(list[i].Priority))
	}
	counts := metrics.Rules(names)
	for i := range list {
		share(&list[i].Action, &list[i].Shares, r.forwards[i], groups, metrics)
		list[i].Metrics = counts[i]
	}
	t := &route.Table{Default: r.last}
	if len(r.lastly) > 1 { // which is a rule without conditions, then
		rule := route.Rule{Action: r.last, Cookie: r.lastCookie}
		share(&rule.Action, &rule.Shares, r.lastly, groups, metrics)
		list = append(list, rule)
	} else {
		share(&t.Default, nil, r.lastly, groups, metrics)
	}
	if len(list) > 0 {
		t.Rules = route.Compile(list)
	}
	return t
}

// Routes are those of the listener called name, without target groups: to look at,
// not to match by.
func (d *Draft) Routes(name string) *route.Table {
	for i, l := range d.Listeners {
		if l.Name == name {
			return d.routes[i].table(nil, nil)
		}
	}
	return nil
}

// share gives an action its target group, or several that share the requests.
func share(a *route.Action, shares *[]route.Share, forward []config.Share, groups map[string]*upstream.Group, metrics *telemetry.ListenerMetrics) {
	if len(forward) == 1 {
		name := forward[0].TargetGroup
		a.Forward, a.Metrics = groups[name], metrics.Group(name)
		return
	}
	for _, f := range forward {
		mark := fnv.New64a()
		mark.Write([]byte(f.TargetGroup))
		*shares = append(*shares, route.Share{Group: groups[f.TargetGroup], Metrics: metrics.Group(f.TargetGroup), Weight: f.Weight, Mark: max(1, mark.Sum64())})
	}
}

func (c *compiler) conditions(w *config.Conditions, path string) *condition.Set {
	out := &condition.Set{
		Host: c.patterns(w.Host, true, path+".host"), Method: w.Method,
		Header: c.named(w.Header, path+".header"), Query: c.named(w.Query, path+".query"),
	}
	for i, text := range w.Path {
		at := fmt.Sprintf("%s.path[%d]", path, i)
		if !strings.HasPrefix(text, pattern.Prefix) {
			text = c.spelled(text, at)
		}
		if p := c.pattern(text, false, at); p != nil {
			out.Path = append(out.Path, p)
		}
	}
	for _, network := range w.SourceIP {
		if prefix, err := netip.ParsePrefix(network); err == nil { // else it has been complained about
			out.Source = append(out.Source, prefix)
		}
	}
	if w.Client != nil {
		out.Client = c.client(w.Client, path+".client")
	}
	if w.Not != nil {
		out.Not = c.conditions(w.Not, path+".not")
	}
	return out
}

// spelled returns a pattern of paths in the one way in which paths are compared, and
// reports one that no path could match.
func (c *compiler) spelled(text, path string) string {
	parts := strings.Split(text, "?")
	for i := range parts {
		parts[i] = string(reading.AppendSpelled(nil, []byte(parts[i])))
	}
	spelled := []byte(strings.Join(parts, "?"))
	if resolved := reading.AppendResolved(nil, spelled); !bytes.Equal(resolved, spelled) && spelled[0] == '/' {
		c.fault(path, fmt.Sprintf("%q", text), fmt.Sprintf("%q", resolved), "paths are compared after . and .. and double slashes are resolved: this one would never be seen")
	}
	return string(spelled)
}

func (c *compiler) patterns(texts []string, fold bool, path string) []*pattern.Pattern {
	var all []*pattern.Pattern
	for i, text := range texts {
		if p := c.pattern(text, fold, fmt.Sprintf("%s[%d]", path, i)); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// pattern compiles one, or reports why not.
func (c *compiler) pattern(text string, fold bool, path string) *pattern.Pattern {
	p, err := pattern.Compile(text, fold)
	if err != nil {
		c.fault(path, fmt.Sprintf("%q", text), "a pattern that compiles", err.Error())
		return nil
	}
	return p
}

// named compiles conditions on what has a name, in the order of the names, so that
// one configuration is always compiled alike.
func (c *compiler) named(values map[string][]string, path string) []condition.Named {
	var all []condition.Named
	for name, texts := range values {
		all = append(all, condition.Named{Name: strings.ToLower(name), Values: c.patterns(texts, true, path+"."+name)})
	}
	slices.SortFunc(all, func(a, b condition.Named) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (c *compiler) client(w *config.ClientConditions, path string) *condition.Client {
	out := &condition.Client{
		SubjectCN: c.patterns(w.SubjectCN, false, path+".subject_cn"), SubjectOU: c.patterns(w.SubjectOU, false, path+".subject_ou"),
		SANDNS: c.patterns(w.SANDNS, true, path+".san_dns"), SANURI: c.patterns(w.SANURI, false, path+".san_uri"),
		IssuerCN: c.patterns(w.IssuerCN, false, path+".issuer_cn"), DeviceState: w.DeviceState,
	}
	if w.Verified != "" {
		verified := w.Verified == "true"
		out.Verified = &verified
	}
	for _, f := range w.Fingerprint {
		out.Fingerprint = append(out.Fingerprint, f)
	}
	return out
}

// action compiles what becomes of requests, but for the target groups.
func (c *compiler) action(a *config.Action, l *config.Listener, path string) route.Action {
	var out route.Action
	compile := func(at, text string, compile func(string) (*template.Template, error)) *template.Template {
		if text == "" {
			return nil
		}
		t, err := compile(text)
		if err != nil {
			c.fault(path+at, fmt.Sprintf("%q", text), "a text with variables such as #{path}", err.Error())
			return nil
		}
		return t
	}
	if w := a.Rewrite; w != nil {
		out.Rewrite = &route.Rewrite{Host: compile(".rewrite.host", w.Host, template.CompileHost), Path: compile(".rewrite.path", w.Path, template.CompilePath)}
	}
	if r := a.Redirect; r != nil {
		out.Reply = &route.Reply{Status: r.Status, Location: compile(".redirect.to", r.To, template.CompileLocation)}
		if l.Protocol == "https" && strings.HasPrefix(r.To, "http://") {
			c.warn(path+".redirect.to", fmt.Sprintf("%q", r.To), "https://", "clients of https are sent to where anybody on the way can read")
		}
	}
	if r := a.Respond; r != nil {
		out.Reply = &route.Reply{Status: r.Status, Kind: r.Type, Body: []byte(r.Body)}
		if r.File != "" {
			out.Reply.Body = c.body(path+".respond.file", r.File)
		}
		if len(out.Reply.Body) == 0 {
			out.Reply.Kind = ""
		}
	}
	return out
}

// body reads the body of an answer, or reports why not.
func (c *compiler) body(path, file string) []byte {
	f, ok := c.open(path, file)
	if !ok {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	switch {
	case err != nil:
		c.unreadable(path, file, err)
	case len(data) > mostFile:
		c.tooLarge(path, file, mostFile)
	}
	return data
}

// captures reports templates that want more of a pattern than it has.
func (c *compiler) captures(when *condition.Set, a *route.Action, path string) {
	check := func(at string, t *template.Template) {
		if t == nil {
			return
		}
		inPath, inHost := t.Captures()
		var paths, hosts []*pattern.Pattern
		if when != nil {
			paths, hosts = when.Path, when.Host
		}
		for _, p := range []struct {
			n        int
			patterns []*pattern.Pattern
			name     string
			variable string
		}{{inPath, paths, "path", "#{%d}"}, {inHost, hosts, "host", "#{host.%d}"}} {
			variable := fmt.Sprintf(p.variable, p.n)
			switch {
			case p.n == 0:
			case len(p.patterns) == 0:
				c.fault(path+at, variable+" without a condition on "+p.name, "when: {"+p.name+": PATTERN}", "it is what * or a group of that pattern stood for")
			default:
				for _, q := range p.patterns {
					if q.Captures() < p.n {
						c.fault(path+at, fmt.Sprintf("%s, but %q has %d of * or groups", variable, q, q.Captures()), "as many as are used", "")
						break
					}
				}
			}
		}
	}
	if a.Rewrite != nil {
		check(".rewrite.host", a.Rewrite.Host)
		check(".rewrite.path", a.Rewrite.Path)
	}
	if a.Reply != nil {
		check(".redirect.to", a.Reply.Location)
	}
}

// turns reports a redirect that would send clients where they are.
func (c *compiler) turns(when *condition.Set, a *route.Action, l *config.Listener, path string) {
	if a.Reply == nil || a.Reply.Location == nil {
		return
	}
	var port uint16
	if at, err := netip.ParseAddrPort(l.Address); err == nil {
		port = at.Port()
	} else if at, err := netip.ParseAddrPort("0.0.0.0" + l.Address); err == nil {
		port = at.Port()
	}
	if a.Reply.Location.Loops(l.Protocol, port) || route.Returns(when, a.Reply.Location, l.Protocol, port) {
		c.fault(path+".redirect.to", fmt.Sprintf("%q", a.Reply.Location), "another protocol, host, port, path or query", "clients would be sent where they are, again and again")
	}
}

// shadowed reports rules that can never take a request, because an earlier one takes
// all of theirs. What is reported is certain; two earlier ones that only together
// leave nothing are not found.
func (c *compiler) shadowed(rules []route.Rule, path string) {
	for j := range rules {
		for i := range j {
			if rules[i].When.Covers(rules[j].When) {
				at := fmt.Sprintf("%s.rules[%d]", path, j)
				c.fault(at, fmt.Sprintf("a rule that no request ever reaches: %s takes them all", &rules[i]), "the rule that takes less first",
					fmt.Sprintf("put it before rules[%d], or leave it out", i))
				break
			}
		}
	}
}
