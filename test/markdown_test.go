package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A fence is one fenced block of a document.
type fence struct {
	lang  string // sh, yaml, output, console, text ...
	file  string // of a yaml block whose first line is "# FILE"
	text  string
	line  int  // of its first line in the document
	after bool // a line "<!-- reloads -->" stands before it: the gateway takes up a change
}

var fileComment = regexp.MustCompile(`^# ([A-Za-z0-9._/-]+\.(?:yaml|conf|txt))$`)

// fences returns the fenced blocks of a document, in order.
func fences(t *testing.T, path string) []fence {
	t.Helper()
	var found []fence
	var open *fence
	reloads := false
	for i, line := range strings.Split(read(t, path), "\n") {
		lang, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &fence{lang: lang, line: i + 2, after: reloads}
			reloads = false
		case isFence:
			if m := fileComment.FindStringSubmatch(strings.SplitN(open.text, "\n", 2)[0]); m != nil && open.lang == "yaml" {
				open.file = m[1]
			}
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case line == "<!-- reloads -->":
			reloads = true
		case strings.TrimSpace(line) != "":
			reloads = false
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block that begins here does not end", path, open.line)
	}
	return found
}

// documents returns every file that a user reads, relative to the root.
func documents(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "ARCHITECTURE.md", "GLOSSARY.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, pattern := range []string{"docs/*.md", "docs/use/*.md", "examples/*/README.md", "changelog/unreleased/*.md"} {
		matches, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range matches {
			found = append(found, strings.TrimPrefix(filepath.ToSlash(m), "../"))
		}
	}
	return found
}

// read returns the text of a file, path being relative to the root.
func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rows returns the tables of a section of a document: the cells of each row by
// its first one, without quotes.
func rows(t *testing.T, path, section string) map[string][]string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, path), "\n"+section+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", path, section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	found := map[string][]string{}
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		found[strings.Trim(cells[0], "`")] = cells
	}
	for _, head := range []string{"code", "metric", "#"} {
		delete(found, head)
	}
	return found
}

// told reports the first line of want that does not occur in got, in order. In
// want "..." stands for anything, and lines need not follow one another.
func told(want, got string) (missing string, ok bool) {
	lines := strings.Split(got, "\n")
	for w := range strings.Lines(want) {
		w = strings.TrimSpace(w)
		if w == "" || w == "..." {
			continue
		}
		at := 0
		for at < len(lines) && !holds(lines[at], strings.Split(w, "...")) {
			at++
		}
		if at == len(lines) {
			return w, false
		}
		lines = lines[at+1:]
	}
	return "", true
}

func holds(line string, parts []string) bool {
	for _, p := range parts {
		i := strings.Index(line, p)
		if i < 0 {
			return false
		}
		line = line[i+len(p):]
	}
	return true
}

func TestToldSeesWhatIsMissing(t *testing.T) {
	const got = "one two three\nfour\nfive\n"
	for want, ok := range map[string]bool{
		"one two three\nfour": true, "one...three\n...\nfive": true, "four\none": false, "two...one": false, "six": false, "": true,
	} {
		if _, told := told(want, got); told != ok {
			t.Errorf("told(%q) = %v", want, told)
		}
	}
}
