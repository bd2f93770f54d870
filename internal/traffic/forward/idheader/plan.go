package idheader

import (
	"errors"
	"fmt"
	"slices"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
)

// Config says which fields a listener's backends get.
type Config struct {
	Dialects []Dialect // each at most once
	Set      []Header
	// Strip lists further names that clients may not send here: the own headers
	// of other listeners, whose backends may be the same.
	Strip []string
	// Device: targets are told of the client's device too, by Plan.Device.
	Device bool
	Token  *Token // nil: none is sent
	Limits Limits
}

// A Header is a field of the operator's own.
type Header struct {
	Name string
	// Value is text with placeholders such as {subject}; {{ and }} stand for
	// braces. A field whose value names the client is left out unless the
	// client is verified, and so is one whose value comes out empty.
	Value string
}

// Limits bound what is rendered, in bytes.
type Limits struct {
	Header  int // one field line, "Name: value"; 0: 16 KiB, as on AWS
	Headers int // all of them with their line ends; 0: 64 KiB
}

// A Connection is what a TLS connection adds to what is known of its client.
type Connection struct {
	TLSVersion string // as in logs: "TLSv1.3"
	TLSCipher  string // OpenSSL's name: "ECDHE-RSA-AES128-GCM-SHA256"
	ServerName string // the name that the client asked for, "" when none
}

// A Plan renders the fields of one Config. It is immutable, safe for concurrent
// use; a nil Plan renders nothing and strips what every Plan strips.
type Plan struct {
	dialects []dialect
	own      []own
	set      names // of own
	names    names // of own, and what is to be stripped beside
	token    *Token
	limits   Limits
}

// Compile returns the Plan for c, or every fault in c, joined.
func Compile(c Config) (*Plan, error) {
	p := &Plan{limits: c.Limits}
	if p.limits.Header == 0 {
		p.limits.Header = 16 << 10
	}
	if p.limits.Headers == 0 {
		p.limits.Headers = 64 << 10
	}
	var faults []error
	if c.Limits.Header < 0 || c.Limits.Headers < 0 {
		faults = append(faults, fmt.Errorf("identity header limits %d and %d: want 0 for the default, or more", c.Limits.Header, c.Limits.Headers))
	}
	setBy := map[string]string{} // folded name -> who sets it
	for _, name := range []string{authSubject, authType, authCredential} {
		setBy[foldString(name)] = "require"
	}
	if c.Device {
		for _, name := range []string{deviceID, deviceState} {
			setBy[foldString(name)] = "devices: annotate"
		}
	}
	if c.Token != nil {
		t, err := compileToken(*c.Token)
		if err != nil {
			faults = append(faults, err)
		}
		p.token = t
		folded := foldString(t.Header)
		if by := setBy[folded]; by != "" {
			faults = append(faults, fmt.Errorf("identity token header %s: %s sets it already", t.Header, by))
		}
		setBy[folded] = "dialect " + tokenWord
		p.set.add(folded)
		p.names.add(folded)
	}
	for i, name := range c.Dialects {
		d, err := dialectNamed(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if slices.ContainsFunc(p.dialects, func(o dialect) bool { return o.name == d.name }) {
			faults = append(faults, fmt.Errorf("identity header dialect %s is listed twice: leave one out", c.Dialects[i]))
			continue
		}
		for _, f := range d.fields {
			if by := setBy[foldString(f)]; by != "" {
				faults = append(faults, fmt.Errorf("identity header %s: %s sets it already, and dialect %s would too", f, by, d.name))
			}
			setBy[foldString(f)] = "dialect " + string(d.name)
		}
		p.dialects = append(p.dialects, d)
	}
	for _, h := range c.Set {
		o, err := compileOwn(h)
		if err != nil {
			faults = append(faults, err)
		}
		folded := foldString(h.Name)
		if by := setBy[folded]; by != "" {
			faults = append(faults, fmt.Errorf("identity header %s: %s sets it already; backends that fold case and punctuation would see two", h.Name, by))
			continue
		}
		setBy[folded] = "header " + h.Name
		p.own = append(p.own, o)
		p.set.add(folded)
		p.names.add(folded)
	}
	for _, name := range c.Strip {
		p.names.add(foldString(name))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return p, nil
}

// Render appends the fields for client, each "Name: value\r\n", to dst: once per
// connection, since nothing in them changes with a request. It denies with
// IdentityTooLarge when they do not fit into the limits, since a backend must
// not take a client whose field was left out for another kind of client.
func (p *Plan) Render(dst []byte, client identify.Client, conn Connection) ([]byte, *countersign.Denial) {
	if p == nil {
		return dst, nil
	}
	if !client.Known() {
		return dst, countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"identity headers were asked for a client that the identify stage did not make; this is a fault in countersign, please report it")
	}
	o := output{dst: dst, limits: p.limits, client: client, conn: conn, standing: standingOf(client)}
	for _, d := range p.dialects {
		d.render(&o)
	}
	for _, h := range p.own {
		h.render(&o)
	}
	if o.denial != nil {
		return dst, o.denial
	}
	return o.dst, nil
}
