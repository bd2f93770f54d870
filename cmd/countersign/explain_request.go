package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/traffic/route/condition"
	"countersign.dev/internal/traffic/route/reading"
	"countersign.dev/internal/traffic/route/template"
	"countersign.dev/internal/wire/http1"
)

// An asking is the request that explain --request is about.
type asking struct {
	line    string   // METHOD URL, or the URL alone
	headers []string // "Name: value"
	source  string
	json    bool

	scheme, host string // of the URL; host with its port
	request      http1.Request
	from         netip.Addr
}

// explainRequest says what becomes of a client's request.
func explainRequest(ctx context.Context, w io.Writer, draft *publish.Draft, a *asking, listener string, presented []*x509.Certificate, sni string) error {
	if err := a.read(); err != nil {
		return err
	}
	if out := a.beside(draft.Config); out != nil && listener == "" {
		return a.tell(w, out)
	}
	l, err := a.listener(draft.Config, draft.Listeners, listener)
	if err != nil {
		return err
	}
	if l.Stream != nil {
		return fmt.Errorf("listener %q passes bytes on, and no requests: leave --request out", l.Name)
	}
	if sni == "" {
		sni = string(condition.HostOf(a.request.Host))
	}
	if ip, err := netip.ParseAddr(strings.Trim(sni, "[]")); err == nil && ip.IsValid() {
		sni = "" // clients do not ask for addresses by name
	}
	if !l.Admits() {
		if len(presented) > 0 {
			return fmt.Errorf("listener %q has protocol http: nobody shows it a certificate", l.Name)
		}
		return a.explain(ctx, w, draft, l, identify.Anonymous(), nil)
	}
	about := w
	if a.json {
		about = io.Discard
	}
	if err := explain(ctx, about, draft.Config, l, presented, sni); err != nil {
		var refused exitCode
		if !errors.As(err, &refused) {
			return err
		}
	}
	c, err := comes(ctx, l, presented, sni)
	if err != nil {
		return err
	}
	if c.denial != nil && c.policy.OnFailure != countersign.OnFailureRespond {
		if a.json {
			json.NewEncoder(w).Encode(&requestExplained{Listener: l.Name, Request: a.line, Denial: &denialExplained{c.denial.Code, c.denial.Reason, 0}})
		}
		return exitCode(1) // it has been said, and no request is ever read
	}
	return a.explain(ctx, w, draft, l, c.client, c.denial)
}

// read makes a request of what was written, by the parser of live traffic.
func (a *asking) read() error {
	method, url, found := strings.Cut(strings.TrimSpace(a.line), " ")
	if !found {
		method, url = "GET", method
	}
	scheme, rest, found := strings.Cut(url, "://")
	if !found || scheme != "http" && scheme != "https" {
		return fmt.Errorf("--request %q: want METHOD URL, such as \"GET https://www.example.com/path?a=b\"", a.line)
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	a.scheme, a.host = scheme, rest[:end]
	target := rest[end:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	head := method + " " + target + " HTTP/1.1\r\nHost: " + a.host + "\r\n"
	for _, h := range a.headers {
		if strings.ContainsAny(h, "\r\n") || !strings.Contains(h, ":") {
			return fmt.Errorf("--header %q: want \"Name: value\"", h)
		}
		head += h + "\r\n"
	}
	if _, err := a.request.Parse([]byte(head+"\r\n"), http1.Limits{}); err != nil {
		return fmt.Errorf("--request %q: the gateway answers 400: %v", a.line, err)
	}
	var err error
	a.from, err = sourceAddress(a.source)
	return err
}

// sourceAddress reads --source.
func sourceAddress(source string) (netip.Addr, error) {
	from, err := netip.ParseAddr(source)
	if err != nil {
		return from, fmt.Errorf("--source %q: want an IP address", source)
	}
	return from, nil
}

// listener is the one that the request would come to.
func (a *asking) listener(cfg *config.Config, all []*snapshot.Listener, name string) (*snapshot.Listener, error) {
	var fit, byPort []*snapshot.Listener
	var names []string
	port := a.port()
	for i, l := range all {
		if l.Name == name {
			return l, nil
		}
		if cfg.Listeners[i].Protocol != a.scheme {
			continue
		}
		fit, names = append(fit, l), append(names, l.Name)
		if portOf(l.Address) == port {
			byPort = append(byPort, l)
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("there is no listener %q", name)
	case len(fit) == 1:
		return fit[0], nil
	case len(byPort) == 1:
		return byPort[0], nil
	case len(fit) == 0:
		return nil, fmt.Errorf("no listener has protocol %s", a.scheme)
	}
	return nil, fmt.Errorf("say which listener with --listener: %s", strings.Join(names, ", "))
}

// A requestExplained is what becomes of the request. It is what --json prints.
type requestExplained struct {
	Listener string           `json:"listener,omitempty"`
	Request  string           `json:"request"`
	Path     string           `json:"path"`
	Rules    []ruleExplained  `json:"rules"`
	Rule     string           `json:"rule,omitempty"`
	Action   string           `json:"action,omitempty"`
	Node     string           `json:"node,omitempty"` // what it answers itself
	Groups   []groupExplained `json:"target_groups,omitempty"`
	Target   string           `json:"target,omitempty"`
	Host     string           `json:"host,omitempty"`
	Location string           `json:"location,omitempty"`
	Status   int              `json:"status,omitempty"`
	Subject  string           `json:"auth_subject,omitempty"`
	Denial   *denialExplained `json:"denial,omitempty"`
}

type ruleExplained struct {
	Priority  int    `json:"priority"`
	Name      string `json:"name,omitempty"`
	Takes     bool   `json:"takes"`
	Condition string `json:"condition,omitempty"`
	Found     string `json:"found,omitempty"`
	Wanted    string `json:"wanted,omitempty"`
}

type groupExplained struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
}

type denialExplained struct {
	Code   countersign.Code `json:"code"`
	Reason string           `json:"reason"`
	Status int              `json:"status"`
}

// explain says which rule takes the request of client, and what comes of it.
func (a *asking) explain(ctx context.Context, w io.Writer, draft *publish.Draft, l *snapshot.Listener, client identify.Client, refused *countersign.Denial) error {
	return a.tell(w, a.answer(ctx, draft, l, client, refused))
}

func (a *asking) tell(w io.Writer, out *requestExplained) error {
	if a.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(out); err != nil {
			return err
		}
	} else {
		out.print(w)
	}
	if out.Denial != nil {
		return exitCode(1)
	}
	return nil
}

func (a *asking) answer(ctx context.Context, draft *publish.Draft, l *snapshot.Listener, client identify.Client, refused *countersign.Denial) *requestExplained {
	q := &a.request
	out := &requestExplained{Listener: l.Name, Request: string(q.Method) + " " + a.scheme + "://" + a.host + string(q.Target), Path: string(reading.Resolved(q.Path))}
	deny := func(d *countersign.Denial) *requestExplained {
		out.Denial = &denialExplained{d.Code, d.Reason, http.Status(d.Code)}
		return out
	}
	policy := l.Policies.For(string(condition.HostOf(q.Host)))
	standing, leave := standingOf(ctx, draft.Config, l, client)
	defer leave()
	question := &condition.Question{Request: q, Source: a.from, Client: client, Device: standing}
	if action, found := a.own(draft.Config, l, question); found {
		out.Rule, out.Action, out.Node = "node", "node", answers(action.Respond)
		if _, denial := a.authorize(ctx, l, policy, client, refused, standing, action); denial != nil {
			return deny(denial)
		}
		return out
	}
	action, becomes, denial := out.route(draft, l, question)
	if denial != nil {
		return deny(denial)
	}
	proof, denial := a.authorize(ctx, l, policy, client, refused, standing, action)
	if denial != nil {
		return deny(denial)
	}
	if proof.Given() {
		out.Subject = proof.Subject()
	}
	a.becomes(out, l, action, becomes)
	return out
}

// route says what each rule finds, and returns what the first that takes it does.
func (out *requestExplained) route(draft *publish.Draft, l *snapshot.Listener, q *condition.Question) (route.Action, *config.Action, *countersign.Denial) {
	table, cfg := draft.Routes(l.Name), listenerConfig(draft.Config, l.Name)
	findings, denial := table.Rules.Explain(q)
	if denial != nil {
		return route.Action{}, nil, denial
	}
	action, becomes := table.Default, &cfg.Default
	out.Rule = "default"
	for _, f := range findings {
		out.Rules = append(out.Rules, ruleExplained{f.Rule.Priority, f.Rule.Name, f.Takes, f.Condition, f.Found, f.Wanted})
		if f.Takes {
			out.Rule, action, becomes = f.Rule.String(), f.Rule.Action, cfg.Rules[f.Rule.Priority-1].Action()
		}
	}
	return action, becomes, nil
}

// forward says which target groups share it.
func (out *requestExplained) forward(shares []config.Share) {
	out.Action = "forward"
	for _, s := range shares {
		out.Groups = append(out.Groups, groupExplained{s.TargetGroup, s.Weight})
	}
}

// authorize asks what live traffic asks, and again for as long as something has to
// be verified.
func (a *asking) authorize(ctx context.Context, l *snapshot.Listener, policy *handshake.Policy, client identify.Client, refused *countersign.Denial, standing devices.Standing, action route.Action) (credential.Proof, *countersign.Denial) {
	evidence := &credential.Evidence{}
	for {
		grant, denial := authorize.Decide(authorize.Question{
			Policy: policy, Client: client, Denial: refused, Devices: l.Devices, Device: standing, Action: action, Require: l.Require,
			Shown: &credential.Question{Fields: a.request.Fields, Now: time.Now(), Source: a.from, Evidence: evidence},
		})
		if denial == nil || !evidence.Pending() {
			return grant.Proof(), denial
		}
		evidence.Resolve(ctx)
	}
}

// becomes says where the request goes.
func (a *asking) becomes(out *requestExplained, l *snapshot.Listener, action route.Action, cfg *config.Action) {
	var v template.Values
	v.Protocol = a.scheme
	if at, err := netip.ParseAddrPort(strings.Replace(l.Address, ":", "0.0.0.0:", min(1, strings.Count(l.Address[:1], ":")))); err == nil {
		v.Port = at.Port()
	}
	action.Rule.Values(&v, &a.request, nil)
	switch {
	case action.Reply != nil && action.Reply.Location != nil:
		out.Action, out.Status, out.Location = "redirect", action.Reply.Status, string(action.Reply.Location.Append(nil, &v))
	case action.Reply != nil:
		out.Action, out.Status = "respond", action.Reply.Status
	default:
		out.forward(cfg.Forward)
		out.Host, out.Target = string(a.request.Host), string(a.request.Target)
		if w := action.Rewrite; w != nil {
			if w.Host != nil {
				out.Host = string(w.Host.Append(nil, &v))
			}
			if w.Path != nil {
				made := w.Path.Append(nil, &v)
				if a.request.HasQuery && !bytes.ContainsRune(made, '?') {
					made = append(append(made, '?'), a.request.Query...)
				}
				out.Target = string(made)
			}
		}
	}
}

// print says it to a person.
func (out *requestExplained) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n", out.Request)
	if out.Path != "" && !strings.Contains(out.Request, out.Path) {
		fmt.Fprintf(w, "  rules see the path %s\n", out.Path)
	}
	out.printRules(w)
	switch {
	case out.Denial != nil:
		fmt.Fprintf(w, "refused: %s\n  %s\n  the request is answered %d\n", out.Denial.Code, out.Denial.Reason, out.Denial.Status)
	case out.Action == "node":
		fmt.Fprintln(w, "answered by the node itself")
	case out.Action == "redirect":
		fmt.Fprintf(w, "answered %d: to %s\n", out.Status, out.Location)
	case out.Action == "respond":
		fmt.Fprintf(w, "answered %d\n", out.Status)
	default:
		out.printGroups(w, fmt.Sprintf(" as %s, host %s", out.Target, out.Host))
	}
	if out.Subject != "" {
		fmt.Fprintf(w, "  shown by %s\n", out.Subject)
	}
}

// printRules says what each rule finds.
func (out *requestExplained) printRules(w io.Writer) {
	for _, r := range out.Rules {
		name := fmt.Sprintf("rule %d", r.Priority)
		if r.Name != "" {
			name += " (" + r.Name + ")"
		}
		if r.Takes {
			fmt.Fprintf(w, "  takes  %s\n", name)
		} else {
			fmt.Fprintf(w, "  no     %s: %s is %s, not %s\n", name, r.Condition, r.Found, r.Wanted)
		}
	}
	switch out.Rule {
	case "default":
		fmt.Fprintln(w, "  takes  default")
	case "node":
		fmt.Fprintf(w, "  takes  the node, before all rules: %s\n", out.Node)
	}
}

// printGroups says which target groups it is forwarded to.
func (out *requestExplained) printGroups(w io.Writer, as string) {
	total := 0
	for _, g := range out.Groups {
		total += g.Weight
	}
	for _, g := range out.Groups {
		share := ""
		if len(out.Groups) > 1 {
			share = fmt.Sprintf(" (%d of %d)", g.Weight, total)
		}
		fmt.Fprintf(w, "forwarded to target group %s%s%s\n", g.Name, share, as)
	}
}

func listenerConfig(cfg *config.Config, name string) *config.Listener {
	for i := range cfg.Listeners {
		if cfg.Listeners[i].Name == name {
			return &cfg.Listeners[i]
		}
	}
	return nil
}
