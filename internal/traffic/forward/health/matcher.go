package health

import (
	"fmt"
	"strconv"
	"strings"
)

// A Matcher is a set of HTTP statuses, 200 to 599. The zero value is empty.
type Matcher struct {
	has [600]bool
}

// ParseMatcher reads statuses and ranges of them, separated by commas, spaces
// around each allowed: "200", "200,202", "200-299", "200-399,418" (AWS's
// HttpCode, without its limit to five entries).
func ParseMatcher(s string) (*Matcher, error) {
	var m Matcher
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		lo, okLo := status(from)
		hi, okHi := status(to)
		if !okLo || !okHi || lo > hi {
			return nil, fmt.Errorf("%q in %q, want statuses from 200 to 599 such as 200, 200-399 or 200-399,418", part, s)
		}
		for code := lo; code <= hi; code++ {
			m.has[code] = true
		}
	}
	return &m, nil
}

func status(s string) (int, bool) {
	if len(s) != 3 || s[0] < '2' || s[0] > '5' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}

// Match reports whether code is in the set.
func (m *Matcher) Match(code int) bool {
	return code >= 0 && code < len(m.has) && m.has[code]
}
