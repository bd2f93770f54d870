package test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const module = "countersign.dev"

// A goPackage is one directory of Go files, read as text: nothing is built.
type goPackage struct {
	dir     string // relative to the module, "." for the root
	name    string
	doc     string
	imports map[string]string // import path to the file that has it
	lines   map[string]int    // of each file, without tests
	inits   []string          // files that declare func init
}

// packages reads every package of the module, tests left out.
func packages(t *testing.T) []*goPackage {
	t.Helper()
	byDir := map[string]*goPackage{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel("..", name)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		p := byDir[dir]
		if p == nil {
			p = &goPackage{dir: dir, name: file.Name.Name, imports: map[string]string{}, lines: map[string]int{}}
			byDir[dir] = p
		}
		p.lines[path.Base(rel)] = bytes.Count(src, []byte("\n"))
		if file.Doc != nil && p.doc == "" {
			p.doc = file.Doc.Text()
		}
		for _, i := range file.Imports {
			p.imports[strings.Trim(i.Path.Value, `"`)] = rel
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				p.inits = append(p.inits, rel)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []*goPackage
	for _, p := range byDir {
		all = append(all, p)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].dir < all[j].dir })
	if len(all) < 10 {
		t.Fatalf("found %d packages below the module's root; this test looks in the wrong place", len(all))
	}
	return all
}

// under reports whether dir is root or below it.
func under(dir, root string) bool { return dir == root || strings.HasPrefix(dir, root+"/") }

// Imports point one way (house rule 5). Each ban carries its reason.
func TestImportsPointOneWay(t *testing.T) {
	bans := []struct {
		from, to string
		except   string // a directory below from that may
		why      string
	}{
		{"internal/wire", "internal/traffic", "", "a codec knows no policy"},
		{"internal/wire", "internal/control", "", "a codec knows no policy"},
		{"internal/wire", "internal/config", "", "a codec knows no policy"},
		{"internal/traffic", "internal/control", "", "the data plane must go on when the control plane cannot"},
		{"internal/traffic", "internal/store", "", "no request waits for a database"},
		{"internal/traffic", "internal/config", "", "traffic reads compiled snapshots, not what users write"},
		{"internal/snapshot", "internal/control", "", "the view does not know who builds it"},
		{"internal/snapshot", "internal/config", "", "the view is compiled, not a copy of the file"},
		{"internal/config", "internal/traffic", "", "what users write does not change with how it is served"},
		{"internal/config", "internal/control", "", "reading a configuration has no effect"},
		{"internal/telemetry", "internal/traffic", "", "counting knows nothing of what is counted"},
		{"internal/telemetry", "internal/control", "", "counting knows nothing of what is counted"},
		{"internal", "cmd", "", "a command is the last to be wired"},
	}
	for _, p := range packages(t) {
		for path, file := range p.imports {
			to, ours := strings.CutPrefix(path, module+"/")
			if p.dir == "." && (ours || strings.Contains(strings.Split(path, "/")[0], ".")) {
				t.Errorf("%s imports %s: the vocabulary imports the standard library alone", file, path)
			}
			if !ours {
				continue
			}
			for _, b := range bans {
				if under(p.dir, b.from) && under(to, b.to) && (b.except == "" || !under(p.dir, b.except)) {
					t.Errorf("%s imports %s: %s", file, path, b.why)
				}
			}
			// A stage never knows what comes after it: only the pipeline, which is
			// the package internal/traffic itself, reads a whole snapshot.
			if to == "internal/snapshot" && under(p.dir, "internal/traffic") && p.dir != "internal/traffic" {
				t.Errorf("%s imports the snapshot: a stage is given what it needs", file)
			}
			if to == "internal/traffic" && under(p.dir, "internal/traffic") {
				t.Errorf("%s imports the pipeline: a stage does not know the order", file)
			}
			if (to == "internal/testpki" || to == "internal/testrequire" || to == "internal/testport") && p.dir != to && !under(p.dir, "test") {
				t.Errorf("%s imports %s: test material has no place in the program", file, to)
			}
		}
	}
}

// A package is named after its one idea (house rule 8).
func TestNoPackageIsNamedAfterNothing(t *testing.T) {
	empty := map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true,
		"types": true, "models": true, "manager": true, "misc": true, "base": true, "shared": true, "lib": true}
	for _, p := range packages(t) {
		if empty[p.name] || empty[path.Base(p.dir)] {
			t.Errorf("package %s: the name says nothing; name the effect", p.dir)
		}
	}
}

// doc.go says the one idea in one sentence without "and" (house rule 7).
func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		sentence, _, _ := strings.Cut(strings.Join(strings.Fields(p.doc), " "), ". ")
		switch {
		case p.doc == "":
			t.Errorf("package %s has no documentation; say its one idea in doc.go", p.dir)
		case p.name != "main" && strings.Contains(strings.ToLower(sentence), " and "):
			t.Errorf("package %s: its first sentence has an \"and\", so it has two ideas: %q", p.dir, sentence)
		}
	}
}

// Nothing registers itself (house rule 10).
func TestNoInitFunctions(t *testing.T) {
	for _, p := range packages(t) {
		for _, file := range p.inits {
			t.Errorf("%s declares func init: registration is a visible list, not an effect of an import", file)
		}
	}
}

// The size of a package is a question, and reported; a file beyond 400 lines has
// a second idea in it.
func TestPackageSizes(t *testing.T) {
	for _, p := range packages(t) {
		total := 0
		for file, n := range p.lines {
			total += n
			if n > 400 {
				t.Errorf("%s/%s has %d lines: one idea a file, look for the second", p.dir, file, n)
			}
		}
		if total > 800 {
			t.Logf("%s has %d lines: is it still one idea?", p.dir, total)
		}
	}
}
