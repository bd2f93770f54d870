package verify

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A pattern means the regular expression in which a star is ".*".
func TestMatchIsItsRegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern")
		value := rapid.StringMatching(`[abAB]{0,10}`).Draw(t, "value")
		fold := rapid.Bool().Draw(t, "fold")
		expr := "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
		if fold {
			expr = "(?i)" + expr
		}
		if got, want := match(pattern, value, fold), regexp.MustCompile(expr).MatchString(value); got != want {
			t.Errorf("match(%q, %q, %v) = %v", pattern, value, fold, got)
		}
	})
}

func TestMatchFoldsLettersAlone(t *testing.T) {
	if match("@", "`", true) || match("[", "{", true) || !match("Z", "z", true) || match("Z", "z", false) {
		t.Error("folds something else than letters")
	}
}

// Many stars against a long name that almost fits.
func TestMatchTakesBoundedTime(t *testing.T) {
	began := time.Now()
	if match(strings.Repeat("a*", 100)+"b", strings.Repeat("a", 20000), false) {
		t.Error("matches")
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}
