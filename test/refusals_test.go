package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every code of denial.go is in docs/refusals.md once, with stages that there
// are, what happened, and what to do; and nothing else is.
func TestEveryRefusalHasARemedy(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../denial.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string][]string{} // of a type: its constants' values
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if typ, ok := spec.Type.(*ast.Ident); ok {
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				declared[typ.Name] = append(declared[typ.Name], value)
			}
		}
		return true
	})
	documented := map[string][]string{}
	for _, section := range []string{"## Client certificates", "## Connections", "## Devices", "## Credentials", "## Requests"} {
		for code, row := range rows(t, "docs/refusals.md", section) {
			if documented[code] != nil {
				t.Errorf("docs/refusals.md has %s twice", code)
			}
			documented[code] = row
		}
	}
	if len(declared["Code"]) < 30 || len(declared["Stage"]) < 5 {
		t.Fatalf("denial.go seems to declare %d codes and %d stages", len(declared["Code"]), len(declared["Stage"]))
	}
	for _, code := range declared["Code"] {
		row := documented[code]
		delete(documented, code)
		if len(row) < 4 || row[2] == "" || row[3] == "" {
			t.Errorf("docs/refusals.md does not say of %s what happened, or what to do: %q", code, row)
			continue
		}
		for _, stage := range strings.Split(row[1], ", ") {
			if stage != "-" && !slices.Contains(declared["Stage"], stage) {
				t.Errorf("docs/refusals.md: %s has the stage %q, which is none", code, stage)
			}
		}
	}
	for code := range documented {
		t.Errorf("docs/refusals.md has the code %s, denial.go has not", code)
	}
}

// Where traffic refuses with a stage and a code that are written there, the
// table has the stage with the code.
func TestRefusalsHaveTheirStages(t *testing.T) {
	documented := map[string][]string{}
	for _, section := range []string{"## Client certificates", "## Connections", "## Devices", "## Credentials", "## Requests"} {
		for code, row := range rows(t, "docs/refusals.md", section) {
			documented[code] = strings.Split(row[1], ", ")
		}
	}
	seen := 0
	err := filepath.WalkDir("../internal/traffic", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			stage, code := constant(call.Args[0]), constant(call.Args[1])
			if stage, ok := strings.CutPrefix(stage, "Stage"); ok && code != "" {
				seen++
				if !slices.Contains(documented[code], strings.ToLower(stage)) {
					t.Errorf("%s refuses with %s at %s; docs/refusals.md has the stages %q", path, code, strings.ToLower(stage), documented[code])
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 30 {
		t.Errorf("only %d refusals seen", seen)
	}
}

// constant is the name in countersign.Name, "" of anything else.
func constant(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if p, ok := s.X.(*ast.Ident); ok && p.Name == "countersign" {
			return s.Sel.Name
		}
	}
	return ""
}
