package test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated part of docs/use/configuration.md")

// docs/use/configuration.md lists every key with its type, default and meaning,
// as the comments of the configuration's structs have them.
func TestConfigurationReference(t *testing.T) {
	const path, begin, end = "docs/use/configuration.md", "-update -->\n", "<!-- end -->"
	text := read(t, path)
	i, j := strings.Index(text, begin), strings.Index(text, end)
	if i < 0 || j < i {
		t.Fatalf("%s: the marks of the generated part are gone", path)
	}
	m := newManual(t)
	m.section("Config", "")
	want := text[:i+len(begin)] + m.out.String() + text[j:]
	if m.keys < 70 {
		t.Errorf("only %d keys: has the generator lost sight of them?", m.keys)
	}
	if *update {
		if err := os.WriteFile(filepath.Join("..", path), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("%s is not what internal/config says; write it anew with -update:\n%s", path, diff)
	}
}

// A manual turns the structs of internal/config into Markdown.
type manual struct {
	t       *testing.T
	out     strings.Builder
	structs map[string]*ast.StructType
	docs    map[string]string
	at      map[string]string // of a struct that was described, where
	keys    int
}

func newManual(t *testing.T) *manual {
	m := &manual{t: t, structs: map[string]*ast.StructType{}, docs: map[string]string{}, at: map[string]string{}}
	all, err := parser.ParseDir(token.NewFileSet(), "../internal/config",
		func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		ast.Inspect(p, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok {
				return true
			}
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok {
					if s, ok := ts.Type.(*ast.StructType); ok {
						m.structs[ts.Name.Name], m.docs[ts.Name.Name] = s, oneLine(d.Doc)
					}
				}
			}
			return true
		})
	}
	return m
}

func oneLine(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }

// section describes the struct called name, which is found at path.
func (m *manual) section(name, path string) {
	if first, twice := m.at[name]; twice {
		fmt.Fprintf(&m.out, "\n## `%s`\n\nAs `%s`.\n", path, first)
		return
	}
	m.at[name] = path
	if path == "" {
		m.out.WriteString("\n## The file\n\n")
	} else {
		fmt.Fprintf(&m.out, "\n## `%s`\n\n%s\n\n", path, plain(m.docs[name], name))
	}
	m.out.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	type below struct{ typ, path string }
	var rest []below
	for _, f := range m.structs[name].Fields.List {
		if f.Tag == nil {
			continue
		}
		quoted, _ := strconv.Unquote(f.Tag.Value)
		tag := reflect.StructTag(quoted)
		key, options, _ := strings.Cut(tag.Get("yaml"), ",")
		typ, list := typeName(f.Type)
		if typ == "later" {
			continue
		}
		m.keys++
		_, nested := m.structs[typ]
		def := strings.ReplaceAll(tag.Get("default"), "|", ", ")
		meaning := plain(oneLine(f.Doc), f.Names[0].Name, strings.Split(tag.Get("one"), "|")...)
		if strings.Contains(options, "required") {
			def = "required"
		} else if def != "" {
			meaning = strings.TrimSpace(strings.Replace(meaning, " Default "+def+".", "", 1))
			def = "`" + def + "`"
		}
		label := "`" + key + "`"
		if key == "" { // a struct that may be written as this value alone
			label = "a word alone"
		}
		kind := m.kind(typ, tag)
		if list {
			kind = "list of " + strings.TrimPrefix(kind, "a ")
		}
		fmt.Fprintf(&m.out, "| %s | %s | %s | %s |\n", label, kind, def, strings.ReplaceAll(meaning, "|", "\\|"))
		if nested {
			at := strings.TrimPrefix(path+"."+key, ".")
			if list {
				at += "[]"
			}
			rest = append(rest, below{typ, at})
		}
	}
	for _, b := range rest {
		m.section(b.typ, b.path)
	}
}

// plain takes the Go name off the beginning of a comment: "Level is the least"
// becomes "The least", and "Keys, of api_key, is a file" "Of api_key: a file". What
// begins with one of words stays as it is written in the file.
func plain(doc, name string, words ...string) string {
	for _, begin := range []string{"A " + name, "An " + name, name} {
		rest, ok := strings.CutPrefix(doc, begin)
		if !ok {
			continue
		}
		for _, verb := range []string{": ", " is ", " are ", " "} {
			if text, ok := strings.CutPrefix(rest, verb); ok {
				return upper(text, words)
			}
		}
		if of, ok := strings.CutPrefix(rest, ", "); ok {
			end := strings.IndexAny(of, ",:")
			text := strings.TrimSpace(of[end+1:])
			for _, verb := range []string{"is ", "are "} {
				text = strings.TrimPrefix(text, verb)
			}
			return upper(of[:end], nil) + ": " + text
		}
	}
	return doc
}

func upper(text string, words []string) string {
	first := strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
	if len(first) > 0 && slices.Contains(words, first[0]) {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func typeName(e ast.Expr) (name string, list bool) {
	switch e := e.(type) {
	case *ast.ArrayType:
		name, _ = typeName(e.Elt)
		return name, true
	case *ast.MapType:
		return "map", false
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name, false
	case *ast.Ident:
		return e.Name, false
	}
	return "", false
}

func (m *manual) kind(typ string, tag reflect.StructTag) string {
	if words := tag.Get("one"); words != "" {
		return "`" + strings.ReplaceAll(words, "|", "` `") + "`"
	}
	bounds := ""
	if r := tag.Get("range"); r != "" {
		low, high, _ := strings.Cut(r, "..")
		bounds = ", " + low + " to " + high
		if high == "" {
			bounds = ", from " + low
		}
	}
	kinds := map[string]string{"string": "text", "bool": "`true` `false`", "int": "number", "int64": "size", "Duration": "duration",
		"SPKIPin": "`sha256/BASE64`", "Fingerprint": "`sha256:HEX`", "Matcher": "codes", "map": "mapping of names to texts", "Pattern": "regular expression",
		"PassedTLV": "name, or `0xE0` to `0xF7`", "OwnType": "`0xE0` to `0xEF`"}
	if is := tag.Get("is"); is != "" && typ != "map" {
		return is
	}
	if kind, ok := kinds[typ]; ok {
		return kind + bounds
	}
	if _, ok := m.structs[typ]; ok {
		return "mapping, below"
	}
	m.t.Errorf("a type that the reference has no word for: %s", typ)
	return typ
}
