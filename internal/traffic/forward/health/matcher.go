package health

import (
	"fmt"
	"strconv"
	"strings"
)

// A Matcher is a set of codes: HTTP statuses, 200 to 599, or gRPC's, 0 to 99.
// The zero value is empty.
type Matcher struct {
	has [600]bool
}

// ParseMatcher reads the codes of a check by protocol http or grpc, alone and in
// ranges, separated by commas, spaces around each allowed: "200", "200,202",
// "200-299", "200-399,418", "0,12" (AWS's HttpCode and GrpcCode, without their
// limit to five entries).
func ParseMatcher(protocol, s string) (*Matcher, error) {
	least, most, want := 200, 599, "statuses from 200 to 599 such as 200, 200-399 or 200-399,418"
	if protocol == "grpc" {
		least, most, want = 0, 99, "gRPC codes from 0 to 99 such as 0, 0-5 or 0,12"
	}
	var m Matcher
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		low, okLow := code(from)
		high, okHigh := code(to)
		if !okLow || !okHigh || low < least || high > most || low > high {
			return nil, fmt.Errorf("%q in %q, want %s", part, s, want)
		}
		for code := low; code <= high; code++ {
			m.has[code] = true
		}
	}
	return &m, nil
}

// code reads a number as it is written: without sign, without leading zeros.
func code(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && strconv.FormatUint(n, 10) == s
}

// Match reports whether code is in the set.
func (m *Matcher) Match(code int) bool {
	return code >= 0 && code < len(m.has) && m.has[code]
}
