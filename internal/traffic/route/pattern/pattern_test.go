package pattern_test

import (
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"countersign.dev/internal/traffic/route/pattern"
)

func compile(t testing.TB, text string, fold bool) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Compile(text, fold)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		text, yes, no string // texts with blanks between them
		fold          bool
	}{
		{"/a", "/a", "/A /a/ /ab a /", false},
		{"/a/*", "/a/ /a/b /a/b/c", "/a /b/a/ /A/", false},
		{"*.example.com", "a.example.com A.EXAMPLE.com a.b.example.com .example.com", "example.com a.example.comx", true},
		{"*", "x xyz", "", false},
		{"**", "x xyz", "", false},
		{"/a?c", "/abc /a?c", "/ac /abbc", false},
		{"?", "x", "xx", false},
		{"/*/b/*", "/a/b/c //b/ /a/x/b/c/d /b/b/", "/a/b /b/c", false},
		{"a*b*c", "abc aXbYc abbcc abcbc", "abcd ac", false},
		{"regex:^/v[0-9]+/", "/v1/x /v22/", "/v/x x/v1/", false},
		{"regex:^B", "b Ba", "ab", true},
		{"regex:b$", "ab", "aB", false},
	} {
		p := compile(t, tt.text, tt.fold)
		for list, want := range map[string]bool{tt.yes: true, tt.no: false} {
			for _, text := range strings.Fields(list) {
				if p.Match([]byte(text)) != want || p.MatchString(text) != want {
					t.Errorf("%s: %q: want %v", tt.text, text, want)
				}
				if _, ok := p.Capture([]byte(text)); ok != want {
					t.Errorf("%s: capture of %q: want %v", tt.text, text, want)
				}
			}
		}
	}
	if compile(t, "*", false).Match(nil) != true || compile(t, "a", false).Match(nil) {
		t.Error("no text at all")
	}
}

// Globs are what path.Match takes for such, as far as both go.
func TestGlobsAreThoseOfOthers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(letters string) string {
		b := make([]byte, r.IntN(8))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	hits := 0
	for range 200_000 {
		glob, text := word("ab*?")+"*", word("ab")
		want, err := path.Match(glob, text)
		if err != nil {
			t.Fatal(err)
		}
		if want {
			hits++
		}
		if got := compile(t, glob, false).MatchString(text); got != want {
			t.Fatalf("%q with %q: %v", text, glob, got)
		}
	}
	if hits < 1000 {
		t.Errorf("only %d matched", hits)
	}
}

func TestCaptures(t *testing.T) {
	for _, tt := range []struct{ text, in, want string }{
		{"/old/*", "/old/a/b", "a/b"},
		{"/old/*", "/old/", ""},
		{"*/b/*", "/a/b/c/b/d", "/a|c/b/d"},
		{"*", "xyz", "xyz"},
		{"a*b*", "aXb", "X|"},
		{"/a", "/a", ""},
		{"regex:^/u/([0-9]+)(/x)?", "/u/12", "12|"},
		{"regex:^/u/([0-9]+)/(.*)$", "/u/12/a/b", "12|a/b"},
	} {
		c, ok := compile(t, tt.text, false).Capture([]byte(tt.in))
		var parts []string
		for i := 1; i <= strings.Count(tt.want, "|")+1; i++ {
			parts = append(parts, string(c.Part(i)))
		}
		if got := strings.Join(parts, "|"); !ok || got != tt.want {
			t.Errorf("%s: %q: %v %q, want %q", tt.text, tt.in, ok, got, tt.want)
		}
		if c.Part(0) != nil || c.Part(10) != nil {
			t.Error("parts that are none")
		}
	}
}

func TestWhatDoesNotCompile(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "the pattern is empty",
		"regex:":                "the expression has 0 characters",
		"regex:a(b":             "missing closing ) at character 1: a(b",
		"regex:x[z-a]":          "invalid character class range at character 3: z-a",
		"regex:(?=a)":           "invalid or unsupported Perl syntax at character 1: (?=",
		"regex:" + long(600):    "the expression has 600 characters, expected 1 to 512",
		"regex:(a{1,99}){1,99}": "invalid repeat count",
		"regex:[^a-z]{1,900}b":  "instructions, expected at most 1000",
	} {
		if _, err := pattern.Compile(text, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		wide, narrow string
		want         bool
	}{
		{"*", "/a", true}, {"*", "regex:x", true}, {"/a/*", "/a/b/*", true}, {"/a/*", "/a/*", true}, {"/a/*", "/a/", true},
		{"/a/*", "/a", false}, {"/a/b/*", "/a/*", false}, {"/a*", "/a?", true}, {"/a?", "/a*", false}, {"/??", "/a?", true},
		{"/a?", "/??", false}, {"*/x", "/a/*/x", true}, {"*x", "*yx", true}, {"*yx", "*x", false}, {"a*b*c", "a*b?b*c", true},
		{"regex:a", "regex:a", true}, {"regex:a", "regex:b", false}, {"regex:.*", "/a", false}, {"/a", "regex:^/a$", false},
	} {
		if got := compile(t, tt.wide, false).Covers(compile(t, tt.narrow, false)); got != tt.want {
			t.Errorf("%s covers %s: %v", tt.wide, tt.narrow, got)
		}
	}
	if !compile(t, "A*", true).Covers(compile(t, "ab", false)) || compile(t, "a*", false).Covers(compile(t, "ab", true)) {
		t.Error("a pattern for one case covers one for both, or the reverse")
	}
}

// What Covers says holds for every text.
func FuzzCovers(f *testing.F) {
	f.Add("/a/*", "/a/b?", "/a/bc")
	f.Add("*b*", "a?b", "aab")
	f.Fuzz(func(t *testing.T, wide, narrow, text string) {
		w, err := pattern.Compile(wide, false)
		if err != nil {
			return
		}
		n, err := pattern.Compile(narrow, false)
		if err != nil {
			return
		}
		if w.Covers(n) && n.MatchString(text) && !w.MatchString(text) {
			t.Errorf("%q covers %q, but %q is the narrow one's alone", wide, narrow, text)
		}
		if c, ok := n.Capture([]byte(text)); ok != n.MatchString(text) {
			t.Errorf("%q: captured %v, matched %v", text, ok, !ok)
		} else if ok {
			for i := range pattern.MaxCaptures + 2 {
				c.Part(i)
			}
		}
	})
}

func TestMatchingAllocatesNothing(t *testing.T) {
	text := []byte("/a/long/enough/path/for/all")
	for _, p := range []*pattern.Pattern{compile(t, "/a/*", false), compile(t, "/*/enough/*l?", false), compile(t, "regex:^/a/[a-z]+/e", false)} {
		if n := testing.AllocsPerRun(100, func() { p.Match(text) }); n != 0 {
			t.Errorf("%s: %v allocations", p, n)
		}
	}
}
