package config

import (
	"fmt"
	"strconv"
	"strings"
)

// A Matcher is a set of codes, those of HTTP or of gRPC.
type Matcher []CodeRange

// A CodeRange is the codes From to To, both included.
type CodeRange struct{ From, To int }

// UnmarshalText reads "200", "200-299", "0,12", "200,204,300-399".
func (m *Matcher) UnmarshalText(text []byte) error {
	*m = nil
	for part := range strings.SplitSeq(string(text), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		low, okLow := code(from)
		high, okHigh := code(to)
		if !okLow || !okHigh || low > high {
			return fmt.Errorf("%q is no code, and no range of codes", part)
		}
		*m = append(*m, CodeRange{low, high})
	}
	return nil
}

// code reads a number of at most three digits.
func code(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil && n <= 999 && strconv.FormatUint(n, 10) == s
}

// String returns what UnmarshalText reads.
func (m Matcher) String() string {
	parts := make([]string, len(m))
	for i, r := range m {
		parts[i] = strconv.Itoa(r.From)
		if r.To != r.From {
			parts[i] += "-" + strconv.Itoa(r.To)
		}
	}
	return strings.Join(parts, ",")
}

// Match reports whether code is in the set.
func (m Matcher) Match(code int) bool {
	for _, r := range m {
		if r.From <= code && code <= r.To {
			return true
		}
	}
	return false
}
