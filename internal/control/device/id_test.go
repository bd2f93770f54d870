package device

import (
	"regexp"
	"strings"
	"testing"

	"countersign.dev"
)

func TestAMACAddressIsOneInAnySpelling(t *testing.T) {
	for _, text := range []string{
		"00:1A:2B:3C:4D:0E", "00:1a:2b:3c:4d:0e", "00-1A-2B-3C-4D-0E", "001a.2b3c.4d0e", "001A2B3C4D0E",
		"00 1a 2b 3c 4d 0e", "0:1a:2b:3c:4d:e", "001a2b-3c4d0e", "0x001A2B3C4D0E", "00.1a.2b.3c.4d.0e",
		"001a:2b3c:4d0e", "\t00:1A:2b:3C:4d:0e ",
	} {
		if got, err := ParseMAC(text); got != "00:1A:2B:3C:4D:0E" {
			t.Errorf("ParseMAC(%q) = %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"00:1A:2B:3C:4D":          "it has 5 groups",
		"00:1A:2B:3C:4D:0G":       "'G' is no hexadecimal digit",
		"OO:1A:2B:3C:4D:0E":       "a zero?",
		"00:1A-2B:3C-4D:0E":       "groups",
		"00:1A:2B:3C:4D-0E:11":    `both ":" and '-'`,
		"00:1A:2B:3C:4D:0E:11":    "it has 7 groups",
		"00:1A:2B:3C:4D:0E:11:22": "it has 8 groups",
		"001A2B3C4D0":             "should have 12 digits",
		"001A2B3C4D0E1":           "should have 12 digits",
		"0-1a-2b-3c-4d-e":         "should have 2 digits",
		"01a:2b3c:4d0e":           "should have 4 digits",
		"":                        "should have 12 digits",
		"MacID-00:1A:2B:3C:4D:0E": "",
		"００:1A:2B:3C:4D:0E":       "no hexadecimal digit",
		strings.Repeat("0", 9999): "...",
	} {
		got, err := ParseMAC(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseMAC(%.40q) = %q, %v, want an error with %q", text, got, err, want)
		}
	}
}

func FuzzParseMAC(f *testing.F) {
	for _, s := range []string{"00:1A:2B:3C:4D:0E", "001a.2b3c.4d0e", "0:1:2:3:4:5", "0x", "::::::", ""} {
		f.Add(s)
	}
	form := regexp.MustCompile(`^([0-9A-F]{2}:){5}[0-9A-F]{2}$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseMAC(s)
		if err != nil {
			return
		}
		again, err := ParseMAC(got)
		if !form.MatchString(got) || again != got || err != nil {
			t.Errorf("ParseMAC(%q) = %q, and of that %q, %v", s, got, again, err)
		}
	})
}

func TestAnIDIsNormalized(t *testing.T) {
	mac := IDs{Form: FormMAC, Pattern: regexp.MustCompile(`^MacID-(.+)$`)}
	text := IDs{Form: FormText}
	for _, c := range []struct {
		ids        IDs
		text, want string
	}{
		{mac, "00-1a-2b-3c-4d-5e", "00:1A:2B:3C:4D:5E"},
		{mac, "MacID-00:1a:2b:3c:4d:5e", "00:1A:2B:3C:4D:5E"},
		{mac, "Mac-00:1a:2b:3c:4d:5e", ""},
		{text, " meter/7@Köln ", "meter/7@Köln"},
		{text, "meter 7", ""},
		{text, "", ""},
		{text, "a\x00b", ""},
		{text, "a\xffb", ""},
		{text, strings.Repeat("ä", 128), strings.Repeat("ä", 128)},
		{text, strings.Repeat("a", 129), ""},
	} {
		got, err := c.ids.Normalize(c.text)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Normalize(%.40q) = %q, %v, want %q", c.text, got, err, c.want)
		}
	}
}

func TestTheIDOfACertificateIsTakenFromItsField(t *testing.T) {
	who := &countersign.Identity{
		CommonNames: []string{"Fleet", "MacID-00:1a:2b:3c:4d:5e"},
		DNSNames:    []string{"m7.meters.example"},
		URIs:        []string{"urn:dev:a", "urn:dev:b"},
	}
	pattern := func(s string) *regexp.Regexp { return regexp.MustCompile(s) }
	for _, c := range []struct {
		ids        IDs
		want, fail string
	}{
		{IDs{From: FromSubjectCN, Form: FormMAC, Pattern: pattern(`^MacID-(.+)$`)}, "00:1A:2B:3C:4D:5E", ""},
		{IDs{From: FromSANDNS, Form: FormText, Pattern: pattern(`^[^.]+`)}, "m7", ""},
		{IDs{From: FromSANURI, Form: FormText}, "", "two devices"},
		{IDs{From: FromSANURI, Form: FormText, Pattern: pattern(`^urn:dev:(b)$`)}, "b", ""},
		{IDs{From: FromSubjectCN, Form: FormText, Pattern: pattern(`^Nobody`)}, "", "no device"},
		{IDs{From: FromSubjectCN, Form: FormMAC}, "", "no MAC address"},
	} {
		got, err := c.ids.Of(who)
		if got != c.want || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%+v: %q, %v, want %q %s", c.ids, got, err, c.want, c.fail)
		}
	}
}
