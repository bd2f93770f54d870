package http1

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestKindOf(t *testing.T) {
	for k := Other + 1; int(k) < len(kindNames); k++ {
		name := k.String()
		if name == "" {
			t.Errorf("kind %d has no name", k)
			continue
		}
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := KindOf([]byte(spelled)); got != k {
				t.Errorf("KindOf(%q) = %v, want %v", spelled, got, k)
			}
		}
		for i := range name {
			for _, c := range []byte{name[i] ^ 0x40, name[i] | 0x80, '_', 0} {
				if other := name[:i] + string(rune(c)) + name[i+1:]; c != name[i] && KindOf([]byte(other)) != Other {
					t.Errorf("KindOf(%q) = %v, want Other", other, k)
				}
			}
		}
		for _, other := range []string{name + "x", name[1:], name[:len(name)-1]} {
			if got := KindOf([]byte(other)); got == k {
				t.Errorf("KindOf(%q) = %v, want Other", other, k)
			}
		}
	}
	for _, name := range []string{"", "x", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "Host\u212a"} {
		if got := KindOf([]byte(name)); got != Other {
			t.Errorf("KindOf(%q) = %v, want Other", name, got)
		}
	}
	for n := range 25 {
		for c := range 256 {
			KindOf(bytes.Repeat([]byte{byte(c)}, n)) // must not panic
		}
	}
}

func TestHasToken(t *testing.T) {
	for _, tt := range []struct {
		value, token string
		want         bool
	}{
		{"close", "close", true},
		{"CLOSE", "close", true},
		{"close", "Close", true},
		{"keep-alive,\tclose ", "close", true},
		{",, close,,", "close", true},
		{"", "close", false},
		{",", "close", false},
		{"", "", false},
		{",", "", false},
		{"closed", "close", false},
		{"not close", "close", false},
		{"close;q=1", "close", false},
		{`"close"`, "close", false},
		{"clo\u017fe", "close", false},
		{"[lose", "{lose", false}, // differ by 0x20 without being letters
	} {
		if got := HasToken([]byte(tt.value), []byte(tt.token)); got != tt.want {
			t.Errorf("HasToken(%q, %q) = %v, want %v", tt.value, tt.token, got, tt.want)
		}
	}
}

func TestFoldEqual(t *testing.T) {
	for _, tt := range []struct {
		a, lower string
		want     bool
	}{
		{"", "", true},
		{"TE", "te", true},
		{"X-Y", "x-y", true},
		{"x\ry", "x-y", false},
		{"\u212a", "k", false},
		{"te", "t", false},
	} {
		if got := FoldEqual([]byte(tt.a), tt.lower); got != tt.want {
			t.Errorf("FoldEqual(%q, %q) = %v, want %v", tt.a, tt.lower, got, tt.want)
		}
	}
}

// TestValueEnd holds eight octets at a time against one at a time.
func TestValueEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte("a \t~\x7f\x80\xff\x1f\x00\r\n")), rapid.Just(byte('x')), rapid.Just(byte('\t')))
		b := rapid.SliceOf(octet).Draw(t, "b")
		from := rapid.IntRange(0, len(b)).Draw(t, "from")
		want := from
		for want < len(b) && inValue(b[want]) {
			want++
		}
		if got := valueEnd(b, from); got != want {
			t.Fatalf("valueEnd(%q, %d) = %d, want %d", b, from, got, want)
		}
	})
}

func TestClassification(t *testing.T) {
	for kind, want := range map[string]string{
		"": "-", TooLarge: "-", BadHost: "-", NonCompliantHeader: "Acceptable", BothTeClPresent: "Ambiguous", BadContentLength: "Severe",
	} {
		if got := Classification(kind); got != want {
			t.Errorf("Classification(%q) = %q, want %q", kind, got, want)
		}
	}
}
