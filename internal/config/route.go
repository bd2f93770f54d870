package config

import (
	"encoding"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign.dev"
)

// A Rule says what becomes of the requests that meet its conditions, and what they
// have to show. The first rule that a request meets decides, top to bottom.
type Rule struct {
	// Name is how logs and metrics call the rule. Left out: by its place, from 1.
	Name string `yaml:"name" is:"name"`

	// When has the conditions, all of which a request has to meet. Left out: every
	// request does.
	When *Conditions `yaml:"when" hint:"leave the key out to take every request"`

	// Require lists what has to hold once the rule has taken the request, all of it;
	// else the answer is 401, or 403 if only a certificate is missing.
	Require []Requirement `yaml:"require"`

	// OnFailure says how a client learns that it may not have what it asks for, as
	// when require does not hold: respond (it is answered, with the reason's code) or
	// close (the connection ends without an answer). Default respond.
	OnFailure countersign.OnFailure `yaml:"on_failure" one:"respond|close" default:"respond"`

	// Forward is the target group that gets the requests, or several that share them.
	Forward []Share `yaml:"forward"`

	// Stickiness keeps a client at the target group that it got first, where several
	// share the requests.
	Stickiness *RuleStickiness `yaml:"stickiness"`

	// Rewrite changes what the target is asked for, with forward.
	Rewrite *Rewrite `yaml:"rewrite"`

	// Redirect sends the client elsewhere.
	Redirect *Redirect `yaml:"redirect"`

	// Respond answers in the place of a target.
	Respond *Respond `yaml:"respond"`

	// Refuse ends the connection, with protocol tls or tcp. What is written is why, for
	// the logs.
	Refuse string `yaml:"refuse" want:"the reason, in words"`
}

// An Action says what becomes of the requests that no rule takes.
type Action struct {
	// Forward is the target group that gets the requests, or several that share them.
	Forward []Share `yaml:"forward"`

	// Stickiness keeps a client at the target group that it got first, where several
	// share the requests.
	Stickiness *RuleStickiness `yaml:"stickiness"`

	// Rewrite changes what the target is asked for, with forward.
	Rewrite *Rewrite `yaml:"rewrite"`

	// Redirect sends the client elsewhere.
	Redirect *Redirect `yaml:"redirect"`

	// Respond answers in the place of a target.
	Respond *Respond `yaml:"respond"`

	// Refuse ends the connection, with protocol tls or tcp. What is written is why, for
	// the logs.
	Refuse string `yaml:"refuse" want:"the reason, in words"`
}

// Action is what r does with a request.
func (r *Rule) Action() *Action {
	return &Action{Forward: r.Forward, Stickiness: r.Stickiness, Rewrite: r.Rewrite, Redirect: r.Redirect, Respond: r.Respond, Refuse: r.Refuse}
}

// Groups are the names of the target groups that requests go to.
func (a *Action) Groups() []string {
	var all []string
	for _, s := range a.Forward {
		all = append(all, s.TargetGroup)
	}
	return all
}

// A Share is a part of requests. It may be written as the name of the target group
// alone.
type Share struct {
	// TargetGroup names the target group that gets it.
	TargetGroup string `yaml:"target_group,required,alone" want:"the name of a target group"`

	// Weight is how large it is, compared with the weights of the others. Default 1.
	Weight int `yaml:"weight" default:"1" range:"0..999"`
}

// RuleStickiness keeps a client at a target group by a cookie, which it can neither
// read nor forge. A target group with the weight 0 keeps nobody.
type RuleStickiness struct {
	// Duration is how long after its last request. Default 24h.
	Duration time.Duration `yaml:"duration" default:"24h" range:"1s..168h"`
}

// Conditions are what a request has to meet: each of them, of several values of one
// at least one. In a value * stands for any text and ? for one character; regex:
// begins a regular expression (RE2), which matches anywhere unless ^ and $ say
// otherwise.
type Conditions struct {
	// Host is whom the request is for, without a port, whatever the case; with
	// protocol tls or tcp the server name that the client asks for.
	Host []string `yaml:"host" is:"host pattern"`

	// Path is that of the request, without its query. It is compared after
	// percent-encoding, ., .. and double slashes are resolved.
	Path []string `yaml:"path" is:"path pattern"`

	// Method is that of the request, such as GET.
	Method []string `yaml:"method" is:"method"`

	// Query has values by the names of parameters, decoded, whatever the case. Of a
	// parameter that is there several times, one is enough.
	Query map[string][]string `yaml:"query" is:"pattern" want:"a text, * in it for any text"`

	// Header has values by the names of header fields, whatever the case. Of a field
	// that is there several times, one is enough.
	Header map[string][]string `yaml:"header" keys:"field name" is:"pattern" want:"a text, * in it for any text"`

	// SourceIP is where the request comes from, as IP addresses and networks;
	// X-Forwarded-For does not count, a believed PROXY header does.
	SourceIP []string `yaml:"source_ip" is:"network"`

	// Client is about who asks.
	Client *ClientConditions `yaml:"client" hint:"leave the key out for every client"`

	// Not has conditions that must not be met all at once.
	Not *Conditions `yaml:"not"`
}

// ClientConditions are about a client, all of them. Those about its certificate are
// met by verified certificates alone; * in a value stands for any text, ? for one
// character.
type ClientConditions struct {
	// Verified says whether the client has a certificate that was verified: true or
	// false. Left out: either, unless something else is said here.
	Verified Truth `yaml:"verified" one:"true|false"`

	// SubjectCN is a common name, such as ops-*. Of several, each has to match.
	SubjectCN []string `yaml:"subject_cn" is:"pattern"`

	// SubjectOU is an organizational unit.
	SubjectOU []string `yaml:"subject_ou" is:"pattern"`

	// SANDNS is a DNS name among the subject alternative names, whatever the case.
	SANDNS []string `yaml:"san_dns" is:"pattern"`

	// SANURI is a URI among them, such as spiffe://ops/*.
	SANURI []string `yaml:"san_uri" is:"pattern"`

	// IssuerCN is a common name of the authority that issued the certificate.
	IssuerCN []string `yaml:"issuer_cn" is:"pattern"`

	// Fingerprint is the SHA-256 of the certificate: sha256:HEX.
	Fingerprint []Fingerprint `yaml:"fingerprint" want:"sha256: with 64 hexadecimal digits"`

	// DeviceState is the state of the client's device: provisioned, ready, active,
	// suspended, revoked or retired; unknown (not in the registry), bootstrap (the
	// certificate that devices are made with) or unavailable (nobody can say).
	DeviceState []string `yaml:"device_state" one:"provisioned|ready|active|suspended|revoked|retired|unknown|bootstrap|unavailable"`
}

// Certified reports whether c is about certificates that were verified.
func (c *ClientConditions) Certified() bool {
	return c.Verified == "true" || len(c.SubjectCN)+len(c.SubjectOU)+len(c.SANDNS)+len(c.SANURI)+len(c.IssuerCN)+len(c.Fingerprint) > 0
}

// Truth is true, false or neither.
type Truth string

var _ encoding.TextUnmarshaler = (*Truth)(nil)

// UnmarshalText reads true and false.
func (t *Truth) UnmarshalText(text []byte) error {
	if *t = Truth(text); *t != "true" && *t != "false" {
		return errors.New("true or false")
	}
	return nil
}

// Rewrite changes what the target is asked for. Values may have variables:
// #{protocol}, #{host}, #{port}, #{path}, #{query}, #{1} to #{9} for what * or a group
// of the pattern of path stood for, #{host.1} to #{host.9} of that of host.
type Rewrite struct {
	// Host is as whom the target is asked.
	Host string `yaml:"host"`

	// Path is which path the target is asked for. The query stays, unless the value has
	// one of its own.
	Path string `yaml:"path"`
}

// A Redirect sends clients elsewhere. It may be written as the URL alone.
type Redirect struct {
	// Status is 301, 302, 303, 307 or 308. Default 302.
	Status int `yaml:"status" default:"302" range:"301..308"`

	// To is where: an absolute URL or a path, with the variables of rewrite.
	To string `yaml:"to,required,alone" want:"a URL such as https://#{host}/new#{path}"`
}

// Respond is an answer that is always the same.
type Respond struct {
	// Status is from 200 to 299 or 400 to 599. Default 200.
	Status int `yaml:"status" default:"200" range:"200..599"`

	// Type is the Content-Type of the body. Default text/plain.
	Type string `yaml:"type" is:"media type" default:"text/plain"`

	// Body is what the answer says, up to 1024 bytes.
	Body string `yaml:"body"`

	// File has the body, up to 64 KiB. It is read again when it changes.
	File string `yaml:"file" is:"file"`
}

// mostRules bounds the rules of a listener: each may be asked for every request.
const mostRules = 1000

// checkRoutes checks rules and default.
func (l *Listener) checkRoutes(c *checker, path string) {
	if len(l.Rules) > mostRules {
		c.fault(path+".rules", sentence(len(l.Rules), "rule"), sentence(mostRules, "rule")+" at most", "each may be asked for every request: put what is similar into one")
	}
	names := map[string]string{}
	for i := range l.Rules {
		r, at := &l.Rules[i], item(path+".rules", i)
		if first, twice := names[r.Name]; twice && r.Name != "" {
			c.fault(at+".name", quoted(r.Name)+" again", "a name of its own", first+" has it")
		}
		names[r.Name] = at
		if r.When != nil {
			r.When.check(c, l, at+".when", false)
		}
		c.requirement(r.Require, at+".require", l)
		if c.doc.Has(at+".on_failure") && len(r.Require) == 0 {
			c.fault(at+".on_failure", string(r.OnFailure)+" without require", "something that is required", "on_failure says how a client learns that it does not hold")
		}
		if r.Refuse != "" && len(r.Require) > 0 {
			c.fault(at+".require", "require beside refuse", "one of them", "who is refused need not show anything")
		}
		r.Action().check(c, l, at)
	}
	if c.doc.Has(path + ".default") {
		l.Default.check(c, l, path+".default")
	}
}

func (a *Action) check(c *checker, l *Listener, path string) {
	kinds := a.kinds()
	if c.doc.Refused(path) && len(kinds) == 0 {
		return
	}
	ends, hint := "forward, redirect or respond", "say which target group gets the requests: {forward: GROUP}"
	if l.Streams() {
		ends, hint = "forward or refuse", "say which target group gets the bytes, {forward: GROUP}, or why nobody does, {refuse: WHY}"
	}
	switch {
	case len(kinds) == 0:
		c.fault(path, "no "+ends, "one of them", hint)
	case len(kinds) > 1:
		c.fault(path+"."+kinds[1], kinds[1]+" beside "+kinds[0], "one of "+strings.ReplaceAll(ends, " or ", " and "), "there is one end")
	}
	c.forwards(l, path+".forward", a.Forward)
	if a.Stickiness != nil && len(a.Forward) < 2 {
		c.fault(path+".stickiness", "stickiness without several target groups", "forward: [{target_group: A, weight: 1}, {target_group: B, weight: 1}]", "a target group has a stickiness of its own, which keeps clients at a target")
	}
	if l.Streams() {
		a.checkOfBytes(c, l, path)
		return
	}
	if a.Refuse != "" {
		c.fault(path+".refuse", "refuse with protocol "+l.Protocol, "protocol tls or tcp", "respond: {status: 403} tells the client of a request")
	}
	a.Rewrite.check(c, path, len(a.Forward) > 0)
	if r := a.Redirect; r != nil && !slices.Contains([]int{301, 302, 303, 307, 308}, r.Status) && !c.doc.Refused(path+".redirect.status") {
		c.fault(path+".redirect.status", sentence(r.Status, ""), "301, 302, 303, 307 or 308", "the others do not send anybody elsewhere")
	}
	a.Respond.check(c, path+".respond")
}

// kinds are the keys of a that say where something ends.
func (a *Action) kinds() []string {
	var kinds []string
	for _, k := range []struct {
		key string
		is  bool
	}{{"forward", len(a.Forward) > 0}, {"redirect", a.Redirect != nil}, {"respond", a.Respond != nil}, {"refuse", a.Refuse != ""}} {
		if k.is {
			kinds = append(kinds, k.key)
		}
	}
	return kinds
}

// mostReason bounds the reason of a refusal, in bytes.
const mostReason = 200

// checkOfBytes holds a against what can be done with bytes.
func (a *Action) checkOfBytes(c *checker, l *Listener, path string) {
	for key, is := range map[string]bool{"stickiness": a.Stickiness != nil, "rewrite": a.Rewrite != nil, "redirect": a.Redirect != nil, "respond": a.Respond != nil} {
		if is {
			c.fault(path+"."+key, key+" with protocol "+l.Protocol, "forward or refuse", "bytes are passed on as they are: there is no request to answer or to change")
		}
	}
	if at := path + ".refuse"; len(a.Refuse) > mostReason {
		c.fault(at, sentence(len(a.Refuse), "byte"), sentence(mostReason, "byte")+" at most", "it is part of a line of the log")
	}
}

// forwards checks how target groups share requests.
func (c *checker) forwards(l *Listener, path string, shares []Share) {
	first, total := map[string]int{}, 0
	for i := range shares {
		s, at := &shares[i], item(path, i)
		if len(shares) == 1 {
			at = path
		}
		total += s.Weight
		if j, twice := first[s.TargetGroup]; twice && s.TargetGroup != "" {
			c.fault(at, quoted(s.TargetGroup)+" again", "each target group once", item(path, j)+" is it already")
			continue
		}
		first[s.TargetGroup] = i
		if s.TargetGroup != "" {
			c.refer(at, s.TargetGroup, c.groups, "target group")
			c.checkPasses(l, at, s.TargetGroup)
		}
	}
	if len(shares) > 0 && total == 0 {
		c.fault(path, "weights that are all 0", "at least one above 0", "nobody would get the requests")
	}
}

func (r *Rewrite) check(c *checker, path string, forwards bool) {
	switch at := path + ".rewrite"; {
	case r == nil:
	case !forwards:
		c.fault(at, "rewrite without forward", "forward", "no target is asked")
	case r.Host == "" && r.Path == "" && !c.doc.Refused(at):
		c.fault(at, "neither host nor path", "one of them", "leave rewrite out to change nothing")
	}
}

func (r *Respond) check(c *checker, path string) {
	switch {
	case r == nil:
	case r.Status >= 300 && r.Status <= 399:
		c.fault(path+".status", sentence(r.Status, ""), "from 200 to 299 or from 400 to 599", "redirect: {status: 301, to: URL} sends clients elsewhere")
	case r.Body != "" && r.File != "":
		c.fault(path+".file", "file beside body", "one of them", "")
	case len(r.Body) > 1024:
		c.fault(path+".body", sentence(len(r.Body), "byte"), "1024 bytes at most, as on AWS", "file: FILE takes up to 64 KiB")
	case (r.Status == 204 || r.Status == 205) && r.Body+r.File != "":
		c.fault(path, sentence(r.Status, "")+" with a body", "another status, or no body", "an answer with that status has none (RFC 9110 section 15.3.5)")
	}
}
