package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/http"
)

// The promise of the README, word for word.
func TestReadmePromises(t *testing.T) {
	text := strings.Join(strings.Fields(read(t, "README.md")), " ")
	if want := "On a machine with Go alone, `go run ./cmd/countersign up` runs the main job and `go test ./...` passes."; !strings.Contains(text, want) {
		t.Errorf("README.md does not say %q", want)
	}
}

// What the README shows of `countersign up` is what it prints.
func TestReadmeShowsWhatUpPrints(t *testing.T) {
	var screen string
	blocks := fences(t, "README.md")
	for i, b := range blocks[:len(blocks)-1] {
		if b.lang == "console" && strings.Contains(b.text, "countersign up") {
			screen = blocks[i+1].text
		}
	}
	if len(screen) < 100 {
		t.Fatal("README.md shows no screen of `countersign up`")
	}
	printed, err := exec.Command(program(t), "up", "--once", "--dir", t.TempDir()).CombinedOutput()
	if err != nil {
		t.Fatalf("countersign up: %v\n%s", err, printed)
	}
	if missing, ok := told(screen, string(printed)); !ok {
		t.Errorf("%q is not printed:\n%s", missing, printed)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	quoted  = regexp.MustCompile("`([^`\n]+)`")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notSlug = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// Every link within the documents leads somewhere, to a heading where it says so.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := doc
			if target != "" {
				path = filepath.ToSlash(filepath.Join(filepath.Dir(doc), target))
			}
			if _, err := os.Stat(filepath.Join("..", path)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", doc, m[1])
				continue
			}
			if anchor == "" {
				continue
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(read(t, path), -1) {
				slug := strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
				found = found || slug == anchor
			}
			if !found {
				t.Errorf("%s: %s has no heading for the link %s", doc, path, m[1])
			}
		}
	}
}

// Every path that ARCHITECTURE.md, GLOSSARY.md, CONTRIBUTING.md and SECURITY.md
// name exists, from the root, or in a directory named before on the same line.
func TestPathsExist(t *testing.T) {
	seen := 0
	for _, doc := range []string{"ARCHITECTURE.md", "GLOSSARY.md", "CONTRIBUTING.md", "SECURITY.md"} {
		for line := range strings.Lines(read(t, doc)) {
			bases := []string{".."}
			for _, m := range quoted.FindAllStringSubmatch(line, -1) {
				path := m[1]
				// A path has a folder in it, or a document's ending; what is left are
				// words, commands, patterns, paths of URLs.
				if strings.ContainsAny(path, " *{}:<>()") || strings.HasPrefix(path, "/") ||
					!strings.Contains(path, "/") && !strings.HasSuffix(path, ".md") {
					continue
				}
				seen++
				if found := firstThatExists(bases, path); found == "" {
					t.Errorf("%s names %s, which does not exist", doc, path)
				} else if strings.HasSuffix(path, "/") {
					bases = append(bases, found)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d paths seen: has the test lost sight of them?", seen)
	}
}

func firstThatExists(bases []string, path string) string {
	for _, base := range bases {
		full := filepath.Join(base, path)
		if _, err := os.Stat(full); err == nil {
			return full
		}
	}
	return ""
}

// The commands of CONTRIBUTING.md are those of the Makefile and of CI.
func TestContributingCommandsExist(t *testing.T) {
	text, makefile, ci := read(t, "CONTRIBUTING.md"), read(t, "Makefile"), read(t, ".ci/run")
	for _, m := range regexp.MustCompile("`make ([a-z]+)`").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(makefile, "\n"+m[1]+":") {
			t.Errorf("CONTRIBUTING.md says `make %s`, the Makefile has no such target", m[1])
		}
	}
	for _, command := range []string{"COUNTERSIGN_REQUIRE=all go test ./...", "go build ./..."} {
		if !strings.Contains(text, command) || !strings.Contains(ci, command) {
			t.Errorf("%q is to be in CONTRIBUTING.md and in .ci/run", command)
		}
	}
	for _, command := range []string{"go run ./cmd/countersign up", "go test ./..."} {
		if !strings.Contains(ci, command) || !strings.Contains(makefile, command) {
			t.Errorf("the README promises %q: it is to be in .ci/run and in the Makefile", command)
		}
	}
}

// A change that users notice is told: a sentence or more in a file of its own.
func TestChangelogFragments(t *testing.T) {
	fragments, err := filepath.Glob("../changelog/unreleased/*")
	if err != nil || len(fragments) == 0 {
		t.Fatal("changelog/unreleased has no fragments", err)
	}
	for _, f := range fragments {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		title, rest, _ := strings.Cut(string(text), "\n")
		if !strings.HasSuffix(f, ".md") || !strings.HasPrefix(title, "# ") || len(strings.Fields(rest)) < 5 {
			t.Errorf("%s: want Markdown with a title, and below it what a user notices", f)
		}
	}
}

// Every code of denial.go is in the table of docs/use/logs.md, with the status
// that clients get, and nothing else is.
func TestCodesAreDocumented(t *testing.T) {
	documented := rows(t, "docs/use/logs.md", "## Codes")
	file, err := parser.ParseFile(token.NewFileSet(), "../denial.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		codes++
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		row := documented[code]
		delete(documented, code)
		switch {
		case row == nil:
			t.Errorf("docs/use/logs.md does not have the code %s", code)
		case row[2] != "-" && row[2] != strconv.Itoa(http.Status(countersign.Code(code))):
			t.Errorf("docs/use/logs.md: %s is answered %s, but %d is sent", code, row[2], http.Status(countersign.Code(code)))
		}
		return true
	})
	for code := range documented {
		t.Errorf("docs/use/logs.md has the code %s, denial.go has not", code)
	}
	if codes < 30 {
		t.Errorf("only %d codes seen", codes)
	}
}

// Every code of the answers to devices is in the documentation.
func TestCodesOfEnrollmentAreDocumented(t *testing.T) {
	said, seen := read(t, "docs/use/enrollment.md")+read(t, "docs/use/logs.md"), 0
	for _, dir := range []string{"", "answer/", "est/", "initialize/"} {
		files, err := filepath.Glob("../internal/control/enroll/" + dir + "*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, m := range regexp.MustCompile(`(?:refuse|refused|problem)\([45][0-9][0-9], "(\w+)"`).FindAllStringSubmatch(read(t, strings.TrimPrefix(file, "../")), -1) {
				if seen++; !strings.Contains(said, "`"+m[1]+"`") {
					t.Errorf("docs/use/enrollment.md does not have the code %s of %s", m[1], file)
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d codes seen", seen)
	}
}

// Every code by which the management API refuses is in its documentation.
func TestCodesOfTheManagementAPIAreDocumented(t *testing.T) {
	said := read(t, "docs/management-api.md") + read(t, "docs/use/trust-rotation.md")
	codes := regexp.MustCompile(`refuse\([^"\n]*"([a-z_]+)"|http\.Status\w+, "([a-z_]+)"\}|Code = "([a-z_]+)"`)
	files, err := filepath.Glob("../internal/control/api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../internal/control/trust/desk.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range codes.FindAllStringSubmatch(read(t, strings.TrimPrefix(file, "../")), -1) {
			code := m[1] + m[2] + m[3]
			if seen++; !strings.Contains(said, "`"+code+"`") {
				t.Errorf("docs/management-api.md does not have the code %s of %s", code, file)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d codes seen", seen)
	}
}

// Every metric is in the table of docs/use/operate.md with its labels, and
// nothing else is, there or where a document names one.
func TestMetricsAreDocumented(t *testing.T) {
	documented := rows(t, "docs/use/operate.md", "## Metrics")
	declared := regexp.MustCompile(`(?s)desc\("([a-z_]+)",\s*"[^"]*"((?:, "[a-z_]+")*)\)`).FindAllStringSubmatch(read(t, "internal/telemetry/collect.go"), -1)
	declared = append(declared, []string{"", "build_info", `, "version", "revision", "goversion"`})
	exists := map[string]bool{}
	for _, m := range declared {
		name := "countersign_" + m[1]
		exists[name] = true
		row := documented[name]
		delete(documented, name)
		if row == nil {
			t.Errorf("docs/use/operate.md does not have the metric %s", name)
			continue
		}
		if want := strings.TrimPrefix(strings.ReplaceAll(m[2], `"`, "`"), ", "); row[1] != want {
			t.Errorf("docs/use/operate.md: %s has the labels %s, not %s", name, want, row[1])
		}
	}
	for name := range documented {
		t.Errorf("docs/use/operate.md has the metric %s, which does not exist", name)
	}
	for _, path := range documents(t) {
		for _, name := range regexp.MustCompile(`countersign_[a-z_]*[a-z]\b`).FindAllString(read(t, path), -1) {
			if !exists[name] && !exists[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s names the metric %s, which does not exist", path, name)
			}
		}
	}
	if len(declared) < 15 {
		t.Errorf("only %d metrics seen", len(declared))
	}
}

// The manual has every field of the AWS formats and every member of the JSON ones.
func TestLogFieldsAreDocumented(t *testing.T) {
	for section, want := range map[string]int{"## Connection log, format `aws`": 15, "## Access log, format `aws`": 34} {
		table := rows(t, "docs/use/logs.md", section)
		for i := 1; i <= want; i++ {
			if table[strconv.Itoa(i)] == nil {
				t.Errorf("docs/use/logs.md: %s has no field %d", section, i)
			}
		}
		if len(table) != want {
			t.Errorf("docs/use/logs.md: %s has %d fields, want %d", section, len(table), want)
		}
	}
	manual := read(t, "docs/use/logs.md")
	members := regexp.MustCompile(`o\.(?:text|bytes|number|time|seconds|address|name)\("([a-z_]+)"`).FindAllStringSubmatch(read(t, "internal/traffic/accesslog/json.go"), -1)
	for _, m := range members {
		if !strings.Contains(manual, "`"+m[1]+"`") {
			t.Errorf("docs/use/logs.md does not have the JSON member %s", m[1])
		}
	}
	if len(members) < 40 {
		t.Errorf("only %d members seen", len(members))
	}
}

// Every example says how to check it, serve it and send it something; that these
// commands work is TestDocumentsAreTrue.
func TestExamplesCanBeFollowed(t *testing.T) {
	configs, err := filepath.Glob("../examples/*/countersign.yaml")
	if err != nil || len(configs) < 4 {
		t.Fatalf("examples: %v %v", configs, err)
	}
	for _, c := range configs {
		doc := filepath.ToSlash(filepath.Join(strings.TrimPrefix(filepath.Dir(c), "../"), "README.md"))
		commands := ""
		for _, b := range fences(t, doc) {
			if b.lang == "sh" {
				commands += b.text
			}
		}
		for _, want := range []string{"countersign check -c countersign.yaml", "countersign serve -c countersign.yaml &"} {
			if !strings.Contains(commands, want) {
				t.Errorf("%s: no %q among its commands", doc, want)
			}
		}
		if !strings.Contains(commands, "curl ") && !strings.Contains(commands, "mosquitto_pub ") {
			t.Errorf("%s: nothing is asked of the gateway, by curl or mosquitto_pub", doc)
		}
	}
}
