package template

import (
	"errors"
	"fmt"
	"strings"
)

// CompileLocation reads the template of where a client is sent: an absolute URL, or
// a path. What the client has sent cannot become a part of the host, #{host}
// itself aside.
func CompileLocation(text string) (*Template, error) {
	t, err := Compile(text)
	if err != nil {
		return nil, err
	}
	switch rest, absolute := afterScheme(text); {
	case absolute:
		if err := authority(rest); err != nil {
			return nil, err
		}
	case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "#{path}"):
		return nil, fmt.Errorf("%q is neither a path nor begins with http://, https:// or #{protocol}://", text)
	case strings.HasPrefix(text, "//"):
		return nil, errors.New("a path that begins with // names another host; write the protocol before it")
	}
	if strings.Contains(strings.ReplaceAll(text, "#{", ""), "#") {
		return nil, errors.New("a fragment (#...) has no place here; a variable is written #{path}")
	}
	return t, nil
}

func afterScheme(text string) (rest string, absolute bool) {
	for _, scheme := range [...]string{"http://", "https://", "#{protocol}://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok {
			return rest, true
		}
	}
	return text, false
}

// authority checks what comes behind the scheme, up to a path or a query.
func authority(rest string) error {
	end := strings.IndexAny(rest, "/?")
	if at := strings.Index(rest, "#{path}"); at >= 0 && (end < 0 || at < end) {
		end = at // it begins with a slash
	}
	if end < 0 {
		end = len(rest)
	}
	name := rest[:end]
	if name == "" {
		return errors.New("there is no host behind the ://")
	}
	if strings.ContainsAny(name, "@%") {
		return fmt.Errorf("the host is %q, expected a name, with a port or without", name)
	}
	plain := strings.NewReplacer("#{host}", "", "#{port}", "").Replace(name)
	if strings.Contains(plain, "#{") {
		return fmt.Errorf("the host is %q: what a client sends would become a part of it; put a slash before the variable", name)
	}
	return nil
}

// CompilePath reads the template of what a target is asked for: a path, perhaps with
// a query.
func CompilePath(text string) (*Template, error) {
	t, err := Compile(text)
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "#{path}"):
		return nil, fmt.Errorf("%q does not begin with a slash, nor with #{path}", text)
	case strings.Contains(strings.ReplaceAll(text, "#{", ""), "#"):
		return nil, errors.New("a fragment (#...) has no place here; a variable is written #{path}")
	}
	return t, nil
}

// CompileHost reads the template of the host that a target is asked as.
func CompileHost(text string) (*Template, error) {
	t, err := Compile(text)
	if err != nil {
		return nil, err
	}
	for _, p := range t.parts {
		if p.variable == path || p.variable == query || p.variable == pathCapture {
			return nil, errors.New("a host is made of #{host}, #{port}, #{host.1} to #{host.9} and text: a path is not one")
		}
		if strings.Trim(strings.ToLower(p.literal), "abcdefghijklmnopqrstuvwxyz0123456789-._:[]") != "" {
			return nil, fmt.Errorf("%q has characters that no host has", p.literal)
		}
	}
	return t, nil
}

// Loops reports whether t sends a client where it already is, whatever it asked for:
// as on AWS, one of protocol, host, port, path and query has to differ. The protocol
// and the port are those of the listener.
func (t *Template) Loops(protocol string, port uint16) bool {
	rest, absolute := afterScheme(t.text)
	if absolute {
		scheme, _, _ := strings.Cut(t.text, "://")
		after, sameHost := strings.CutPrefix(rest, "#{host}")
		if scheme != protocol && scheme != "#{protocol}" || !sameHost {
			return false
		}
		var samePort bool
		for _, p := range [...]string{":#{port}", fmt.Sprintf(":%d", port)} {
			if rest, samePort = strings.CutPrefix(after, p); samePort {
				break
			}
		}
		if standard := map[string]uint16{"http": 80, "https": 443}; !samePort && standard[protocol] != port {
			return false
		}
	}
	rest = strings.Replace(rest, "/#{path}", "#{path}", 1)
	return rest == "#{path}" || rest == "#{path}?#{query}"
}
