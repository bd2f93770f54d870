package crl

import (
	"strings"
	"testing"
)

func TestReasons(t *testing.T) {
	seen := map[int]bool{}
	for _, r := range Reasons() {
		got, err := ParseReason(strings.ToUpper(string(r)))
		if err != nil || got != r {
			t.Errorf("%s: %s, %v", r, got, err)
		}
		code, ok := r.code()
		if !ok || seen[code] || ReasonOf(code) != r {
			t.Errorf("%s: code %d, known %t, read back as %s", r, code, ok, ReasonOf(code))
		}
		seen[code] = true
	}
	for _, tc := range []struct{ text, want string }{
		{"", "expected one of unspecified, keyCompromise"},
		{"stolen", `reason "stolen" is unknown`},
		{"certificateHold", "for good"},
	} {
		if r, err := ParseReason(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %s, %v; want %q", tc.text, r, err, tc.want)
		}
	}
	if r := ReasonOf(6); r != Unspecified { // certificateHold, from a foreign list
		t.Errorf("code 6 is %s, want unspecified", r)
	}
}
