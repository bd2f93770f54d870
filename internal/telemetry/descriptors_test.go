package telemetry

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestFilesThatMayBeOpenAreHeldAgainstConnections(t *testing.T) {
	const all = 100_000
	for name, c := range map[string]struct {
		limit   uint64
		unknown error
		wants   []int
		said    []string // the numbers of each warning
	}{
		"enough":            {262144, nil, []int{all}, nil},
		"just enough":       {2*all + ownFiles, nil, []int{all}, nil},
		"one too few":       {2*all + ownFiles - 1, nil, []int{all}, []string{"may_be_open=200255 expected=200256 max_connections=100000"}},
		"no limit":          {math.MaxUint64, nil, []int{10_000_000}, nil},
		"not known":         {0, errors.New("not here"), []int{all}, nil},
		"reloads":           {1024, nil, []int{all, all, 90_000}, []string{"may_be_open=1024 expected=200256 max_connections=100000"}},
		"raised":            {1024, nil, []int{100, 1000, 1000, 2000}, []string{"expected=2256 max_connections=1000", "expected=4256 max_connections=2000"}},
		"lowered, too high": {1024, nil, []int{2000, 1000, 100}, []string{"expected=4256 max_connections=2000"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logger, err := NewLogger("", "", &out)
			if err != nil {
				t.Fatal(err)
			}
			d := Descriptors{Logger: logger, limit: func() (uint64, error) { return c.limit, c.unknown }}
			for _, n := range c.wants {
				d.Want(n)
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if out.Len() == 0 {
				lines = nil
			}
			if len(lines) != len(c.said) {
				t.Fatalf("it says\n%s\nwant %d lines", out.String(), len(c.said))
			}
			for i, want := range c.said {
				if !strings.Contains(lines[i], "level=WARN") || !strings.Contains(lines[i], "LimitNOFILE=") || !strings.Contains(lines[i], want) {
					t.Errorf("it says %s, want a warning with %s", lines[i], want)
				}
			}
		})
	}
}
