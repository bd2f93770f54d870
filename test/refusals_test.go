package test

import (
	"go/ast"
	"go/parser"
	"go/token"
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
	for _, section := range []string{"## Client certificates", "## Connections", "## Requests"} {
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
