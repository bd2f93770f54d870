package lint

import (
	"os"
	"strings"
	"testing"
)

// What each rule finds is tested where certificates are made, in package issuance.
func TestEachRuleIsAFileWithItsClause(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range files {
		have[f.Name()] = true
	}
	seen := map[string]bool{}
	for _, r := range Rules() {
		if r.Clause == "" || r.Check == nil || seen[r.Name] {
			t.Errorf("the rule %q has no clause or no check, or is there twice", r.Name)
		}
		seen[r.Name] = true
	}
	rules := 0
	for name := range have {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n := strings.Count(string(src), " = Rule{\"")
		if n > 1 {
			t.Errorf("%s has %d rules", name, n)
		}
		rules += n
	}
	if rules != len(Rules()) {
		t.Errorf("%d rules are written, %d are used", rules, len(Rules()))
	}
}
