package template

import (
	"fmt"
	"strconv"
	"strings"

	"countersign.dev/internal/traffic/route/pattern"
)

// A Template is text with variables such as #{path}. It is immutable.
type Template struct {
	text  string
	parts []part
}

// A part is literal text, or a variable.
type part struct {
	literal  string
	variable variable
	nth      int // of a capture
}

type variable uint8

const (
	none variable = iota
	protocol
	host
	port
	path
	query
	pathCapture
	hostCapture
)

// names are those of the variables without a number.
var names = [...]string{protocol: "protocol", host: "host", port: "port", path: "path", query: "query"}

// Variables says which there are, for people.
const Variables = "#{protocol}, #{host}, #{port}, #{path}, #{query}, #{1} to #{9} for what a pattern of path left open, #{host.1} to #{host.9} of host"

// Values are what variables stand for. All of it is as it may stand in a URL.
type Values struct {
	Protocol string // http or https
	Port     uint16 // of the listener
	Host     []byte // without a port
	Path     []byte // with the slash that it begins with
	Query    []byte // without its "?"
	// PathOpen and HostOpen are what the patterns of path and host left open.
	PathOpen, HostOpen pattern.Captures
}

// Compile reads a template.
func Compile(text string) (*Template, error) {
	t := &Template{text: text}
	for rest := text; rest != ""; {
		literal, after, found := strings.Cut(rest, "#{")
		if literal != "" {
			t.parts = append(t.parts, part{literal: literal})
		}
		if !found {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		p, ok := variableCalled(name)
		switch {
		case !closed:
			return nil, fmt.Errorf("#{%s without }", after)
		case !ok:
			return nil, fmt.Errorf("#{%s} is no variable; there are %s", name, Variables)
		}
		t.parts = append(t.parts, p)
		rest = next
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^|`+"`", c) >= 0 {
			return nil, fmt.Errorf("%q cannot stand in a URL; write it as %%XX", text[i:i+1])
		}
	}
	return t, nil
}

func variableCalled(name string) (part, bool) {
	for v, n := range names {
		if n != "" && n == name {
			return part{variable: variable(v)}, true
		}
	}
	kind := pathCapture
	if digits, ok := strings.CutPrefix(name, "host."); ok {
		name, kind = digits, hostCapture
	}
	if len(name) == 1 && '1' <= name[0] && name[0] <= '9' {
		return part{variable: kind, nth: int(name[0] - '0')}, true
	}
	return part{}, false
}

// String is what was compiled.
func (t *Template) String() string { return t.text }

// Captures returns the highest numbers of what t takes from the patterns of path
// and host, 0 for none.
func (t *Template) Captures() (path, host int) {
	for _, p := range t.parts {
		switch p.variable {
		case pathCapture:
			path = max(path, p.nth)
		case hostCapture:
			host = max(host, p.nth)
		}
	}
	return path, host
}

// Constant reports whether t has no variables.
func (t *Template) Constant() bool {
	for _, p := range t.parts {
		if p.variable != none {
			return false
		}
	}
	return true
}

// Append appends the text. Slashes do not double where a path follows one, and a
// "?" or "&" before a query that is empty is left out.
func (t *Template) Append(dst []byte, v *Values) []byte {
	start := len(dst)
	for _, p := range t.parts {
		switch p.variable {
		case none:
			dst = append(dst, p.literal...)
		case protocol:
			dst = append(dst, v.Protocol...)
		case host:
			dst = append(dst, v.Host...)
		case port:
			dst = strconv.AppendUint(dst, uint64(v.Port), 10)
		case path:
			dst = appendPath(dst, start, v.Path)
		case query:
			if n := len(dst); len(v.Query) == 0 && n > start && (dst[n-1] == '?' || dst[n-1] == '&') {
				dst = dst[:n-1]
			}
			dst = append(dst, v.Query...)
		case pathCapture:
			dst = appendPath(dst, start, v.PathOpen.Part(p.nth))
		case hostCapture:
			dst = append(dst, v.HostOpen.Part(p.nth)...)
		}
	}
	return dst
}

// appendPath appends a path, or what is left of one, behind a slash without its own.
func appendPath(dst []byte, start int, path []byte) []byte {
	if n := len(dst); n > start && dst[n-1] == '/' && len(path) > 0 && path[0] == '/' {
		path = path[1:]
	}
	return append(dst, path...)
}
