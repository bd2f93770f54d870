package device

import (
	"fmt"
	"strings"
)

// ParseMAC returns a MAC address (EUI-48) as AA:BB:CC:DD:EE:FF. It reads what
// labels, operating systems and switches print: groups of two, four or six digits
// behind one another or between : - . or blanks, all the same, in any case, after
// 0x or not; and single digits between colons, where a zero was left out.
func ParseMAC(text string) (string, error) {
	s := strings.TrimSpace(text)
	if rest, ok := cutPrefixFold(s, "0x"); ok {
		s = rest
	}
	groups, separator := []string{s}, ""
	if i := strings.IndexAny(s, ":-. "); i >= 0 {
		separator = s[i : i+1]
		groups = strings.Split(s, separator)
	}
	size := 12 / len(groups)
	if 12%len(groups) != 0 || size%2 != 0 {
		return "", badMAC(text, fmt.Sprintf("it has %d groups", len(groups)))
	}
	var digits strings.Builder
	for _, g := range groups {
		if size == 2 && len(g) == 1 && separator == ":" {
			g = "0" + g
		}
		for _, r := range g {
			switch {
			case '0' <= r && r <= '9' || 'A' <= r && r <= 'F':
			case 'a' <= r && r <= 'f':
				r -= 'a' - 'A'
			case r == 'o' || r == 'O':
				return "", badMAC(text, fmt.Sprintf("it has a letter %c: a zero?", r))
			case strings.ContainsRune(":-. ", r):
				return "", badMAC(text, fmt.Sprintf("it has both %q and %q between its digits", separator, r))
			default:
				return "", badMAC(text, fmt.Sprintf("%q is no hexadecimal digit", r))
			}
			digits.WriteRune(r)
		}
		if len(g) != size {
			return "", badMAC(text, fmt.Sprintf("group %q should have %d digits", g, size))
		}
	}
	d := digits.String()
	return d[0:2] + ":" + d[2:4] + ":" + d[4:6] + ":" + d[6:8] + ":" + d[8:10] + ":" + d[10:12], nil
}

func badMAC(text, why string) error {
	return fmt.Errorf("%q is no MAC address: %s; write 12 hexadecimal digits, as in 00:1A:2B:3C:4D:5E", shortened(text), why)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// shortened keeps a faulty text from filling the screen.
func shortened(s string) string {
	if len(s) <= 60 {
		return s
	}
	return strings.ToValidUTF8(s[:57], "") + "..."
}
