package template_test

import (
	"strings"
	"testing"

	"countersign.dev/internal/traffic/route/pattern"
	"countersign.dev/internal/traffic/route/template"
)

func values(t testing.TB, glob, path string) *template.Values {
	t.Helper()
	p, err := pattern.Compile(glob, false)
	if err != nil {
		t.Fatal(err)
	}
	h, err := pattern.Compile("*.example.com", true)
	if err != nil {
		t.Fatal(err)
	}
	v := &template.Values{Protocol: "https", Port: 8443, Host: []byte("a.example.com"), Path: []byte(path), Query: []byte("q=1")}
	v.PathOpen, _ = p.Capture(v.Path)
	v.HostOpen, _ = h.Capture(v.Host)
	return v
}

func TestTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"https://#{host}/new#{path}":                  "https://a.example.com/new/old/x/y",
		"#{protocol}://#{host}:#{port}/#{path}":       "https://a.example.com:8443/old/x/y",
		"https://www.example.com/#{path}?#{query}&b=": "https://www.example.com/old/x/y?q=1&b=",
		"/new/#{1}":                   "/new/x/y",
		"/#{host.1}/#{1}":             "/a/x/y",
		"/fixed":                      "/fixed",
		"/#{9}x":                      "/x",
		"#{path}":                     "/old/x/y",
		"#{path}?a=b":                 "/old/x/y?a=b",
		"/login?then=#{path}":         "/login?then=/old/x/y",
		"/login?a=1&#{query}":         "/login?a=1&q=1",
		"#{protocol}://#{host}/x#{1}": "https://a.example.com/xx/y",
	} {
		tmpl, err := template.CompileLocation(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(tmpl.Append([]byte("before"), values(t, "/old/*", "/old/x/y"))[len("before"):]); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if tmpl.String() != text || tmpl.Constant() != !strings.Contains(text, "#{") {
			t.Errorf("%s: constant %v", tmpl, tmpl.Constant())
		}
	}
}

// No slash of a client's becomes the second of "//", which would name a host.
func TestAClientCannotNameTheHost(t *testing.T) {
	for _, text := range []string{"/#{1}", "#{path}", "/#{path}", "https://#{host}/#{1}"} {
		tmpl, err := template.CompileLocation(text)
		if err != nil {
			t.Fatal(err)
		}
		v := values(t, "/old*", "/old/evil.example")
		v.Query = nil
		if got := string(tmpl.Append(nil, v)); strings.HasPrefix(got, "//") || strings.Contains(got[8:], "//") {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestAnEmptyQueryLeavesNothingBehind(t *testing.T) {
	v := values(t, "*", "/p")
	v.Query = nil
	for text, want := range map[string]string{"/a?#{query}": "/a", "/a?b=1&#{query}": "/a?b=1", "#{path}?#{query}": "/p"} {
		tmpl, err := template.CompilePath(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(tmpl.Append(nil, v)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestWhatDoesNotCompile(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "is neither a path nor begins with",
		"new":                           "is neither a path nor begins with",
		"ftp://x/":                      "is neither a path nor begins with",
		"javascript:alert(1)":           "is neither a path nor begins with",
		"//evil":                        "names another host",
		"https://":                      "no host",
		"https:///x":                    "no host",
		"https://user@host/":            "expected a name",
		"https://example.com#{1}":       "would become a part of it",
		"https://#{1}/":                 "would become a part of it",
		"https://example.com#{query}":   "would become a part of it",
		"/#{foo}":                       "#{foo} is no variable",
		"/#{0}":                         "#{0} is no variable",
		"/#{host":                       "without }",
		"/a b":                          `" " cannot stand in a URL`,
		"/a\r\nSet-Cookie: x":           "cannot stand in a URL",
		"/a#b":                          "a fragment",
		"https://example.com/#{path}#x": "a fragment",
	} {
		if _, err := template.CompileLocation(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{"x": "does not begin with a slash", "/#": "a fragment", "/#{x}": "no variable"} {
		if _, err := template.CompilePath(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("path %q: %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{"#{path}": "is not one", "a/b": "no host has", "#{1}.x": "is not one", "#{": "without"} {
		if _, err := template.CompileHost(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("host %q: %v, want %q", text, err, want)
		}
	}
}

func TestLoopsAreKnown(t *testing.T) {
	for text, want := range map[string]bool{
		"#{path}": true, "/#{path}": true, "#{path}?#{query}": true, "#{protocol}://#{host}:#{port}/#{path}?#{query}": true, "#{protocol}://#{host}#{path}": false, "https://#{host}:8443#{path}": true,
		"https://#{host}#{path}": false, "/a#{path}": false, "#{path}?a=b": false, "#{protocol}://www.example.com#{path}": false, "/x": false,
	} {
		tmpl, err := template.CompileLocation(text)
		if err != nil {
			t.Fatal(err)
		}
		if tmpl.Loops("https", 8443) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	upgrade, err := template.CompileLocation("https://#{host}/#{path}?#{query}")
	if err != nil {
		t.Fatal(err)
	}
	if upgrade.Loops("http", 80) || !upgrade.Loops("https", 443) {
		t.Error("http leads to https, and https to itself")
	}
}

func TestCapturesAreCounted(t *testing.T) {
	tmpl, err := template.Compile("/#{3}/#{host.2}/#{1}")
	if err != nil {
		t.Fatal(err)
	}
	if p, h := tmpl.Captures(); p != 3 || h != 2 {
		t.Errorf("%d, %d", p, h)
	}
}
