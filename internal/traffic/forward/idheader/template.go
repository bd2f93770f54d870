package idheader

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An own is a compiled Header.
type own struct {
	name string
	template
}

// A template is compiled text with placeholders.
type template struct {
	parts      []part
	identifies bool // it names the client
	// It says what a request has shown: it is left out of requests that have shown
	// nothing.
	authenticates bool
}

// A part is literal text, or a placeholder when append is set.
type part struct {
	literal string
	placeholder
}

type placeholder struct {
	name   string
	about  about
	append func(dst []byte, o *output) []byte
}

// about is what a placeholder says something of.
type about int

const (
	connection about = iota
	client           // who it is, by its certificate
	request          // what it has shown
)

// placeholders is the list of all there are. Those that name the client are
// rendered for one alone that is verified, or vouched for: they find an Identity,
// of which somebody who vouches may have told a part.
func placeholders() []placeholder {
	return []placeholder{
		{"subject", client, func(b []byte, o *output) []byte { return appendName(b, o.client.Identity().Subject) }},
		{"issuer", client, func(b []byte, o *output) []byte { return appendName(b, o.client.Identity().Issuer) }},
		{"serial", client, func(b []byte, o *output) []byte { return append(b, o.client.Identity().Serial...) }},
		{"fingerprint", client, func(b []byte, o *output) []byte {
			if sum := o.client.Identity().Fingerprint; sum != ([32]byte{}) {
				b = hex.AppendEncode(b, sum[:])
			}
			return b
		}},
		{"cn", client, func(b []byte, o *output) []byte { return appendList(b, o.client.Identity().CommonNames) }},
		{"ou", client, func(b []byte, o *output) []byte { return appendList(b, o.client.Identity().OrganizationalUnits) }},
		{"san_dns", client, func(b []byte, o *output) []byte { return appendList(b, o.client.Identity().DNSNames) }},
		{"san_uri", client, func(b []byte, o *output) []byte { return appendList(b, o.client.Identity().URIs) }},
		{"not_before", client, func(b []byte, o *output) []byte { return appendTime(b, o.client.Identity().NotBefore) }},
		{"not_after", client, func(b []byte, o *output) []byte { return appendTime(b, o.client.Identity().NotAfter) }},
		{"vouched_by", client, func(b []byte, o *output) []byte {
			if by := o.client.VouchedBy(); by.IsValid() {
				b = by.AppendTo(b)
			}
			return b
		}},
		{"verify", connection, func(b []byte, o *output) []byte { return append(b, o.verifyResult()...) }},
		{"server_name", connection, func(b []byte, o *output) []byte { return appendText(b, o.conn.ServerName) }},
		{"tls_version", connection, func(b []byte, o *output) []byte { return appendText(b, o.conn.TLSVersion) }},
		{"tls_cipher", connection, func(b []byte, o *output) []byte { return appendText(b, o.conn.TLSCipher) }},
		{"auth_subject", request, func(b []byte, o *output) []byte { return appendText(b, o.shown.Subject) }},
		{"auth_type", request, func(b []byte, o *output) []byte { return appendText(b, o.shown.Type) }},
		{"auth_credential", request, func(b []byte, o *output) []byte { return appendText(b, o.shown.Name) }},
	}
}

// appendTime appends nothing for a time that is not known.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return append(b, iso8601(t)...)
}

func (h *own) render(o *output) {
	if value := h.value(o); len(value) > 0 {
		o.set(h.name, value)
	}
}

// value is empty for a client of whom is not known what t says.
func (t *template) value(o *output) (value []byte) {
	if t.identifies && !o.named() || t.authenticates && o.shown == nil {
		return nil
	}
	for _, p := range t.parts {
		if p.append == nil {
			value = append(value, p.literal...)
		} else {
			value = p.append(value, o)
		}
	}
	return value
}

// compileOwn returns every fault in h, joined.
func compileOwn(h Header) (own, error) {
	out := own{name: h.Name}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("identity header %q: "+format, append([]any{h.Name}, args...)...))
	}
	if why := nameFault(h.Name); why != "" {
		fault("%s", why)
	}
	if strings.TrimSpace(h.Value) == "" {
		fault("its value is empty: want text with placeholders, such as {subject}")
	} else if strings.TrimSpace(h.Value) != h.Value {
		fault("value %q begins or ends with white space, which readers of a header drop: leave it out", h.Value)
	}
	var wrong []error
	out.template, wrong = compileTemplate(h.Value, true)
	for _, err := range wrong {
		fault("value %q: %w", h.Value, err)
	}
	return out, errors.Join(faults...)
}

// compileTemplate returns what is wrong with s in the order in which it stands there.
// requested says that it is rendered for a request, and not for a connection alone.
func compileTemplate(s string, requested bool) (t template, faults []error) {
	for s != "" {
		p, rest, err := nextPart(s, requested)
		if err != nil {
			faults = append(faults, err)
		}
		t.parts = append(t.parts, p)
		t.identifies = t.identifies || p.about == client
		t.authenticates = t.authenticates || p.about == request
		s = rest
	}
	return t, faults
}

// nextPart cuts the first part off a template. After a fault it goes on behind
// what was wrong.
func nextPart(s string, requested bool) (p part, rest string, err error) {
	switch {
	case strings.HasPrefix(s, "{{") || strings.HasPrefix(s, "}}"):
		return part{literal: s[:1]}, s[2:], nil
	case s[0] == '}':
		return p, s[1:], errors.New(`a "}" without "{": write "}}" for a brace`)
	case s[0] == '{':
		name, after, closed := strings.Cut(s[1:], "}")
		if !closed {
			return p, "", errors.New(`a "{" without "}": write "{{" for a brace`)
		}
		known := placeholders()
		i := slices.IndexFunc(known, func(p placeholder) bool { return p.name == name })
		if i < 0 {
			var all []string
			for _, k := range known {
				if requested || k.about != request {
					all = append(all, "{"+k.name+"}")
				}
			}
			return p, after, fmt.Errorf("unknown placeholder {%s}: want one of %s", name, strings.Join(all, " "))
		}
		return part{placeholder: known[i]}, after, nil
	}
	end := strings.IndexAny(s, "{}")
	if end < 0 {
		end = len(s)
	}
	if i := strings.IndexFunc(s[:end], func(r rune) bool { return r < 0x20 || r >= 0x7f }); i >= 0 {
		err = fmt.Errorf("character %q at position %d of %q cannot stand in a header: want printable ASCII", []rune(s[i:end])[0], i+1, s[:end])
	}
	return part{literal: s[:end]}, s[end:], err
}

// nameFault says why a header cannot be set by that name, "" when it can.
func nameFault(name string) string {
	if name == "" {
		return "it has no name"
	}
	for i := range len(name) {
		// RFC 9110 section 5.6.2, token.
		if c := name[i]; !alphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return fmt.Sprintf("character %q cannot stand in a header name: want letters, digits and -", c)
		}
	}
	switch foldString(name) {
	case "host", "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect":
		return "HTTP itself needs a header of that name: choose another, such as X-Client-Info"
	case "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port":
		return "the listener's forwarded setting governs it: choose another, such as X-Client-Info"
	}
	return ""
}
