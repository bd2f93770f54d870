package telemetry

import (
	"bytes"
	"errors"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

func TestLimits(t *testing.T) {
	// The limit is the process's own: give it back.
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	const gib = 1 << 30
	tests := []struct {
		name   string
		env    string
		cgroup memlimit.Provider
		want   int64
		from   string
		log    string
	}{
		{"nine tenths of the cgroup's", "", memlimit.Limit(10 * gib), 9 * gib, "cgroup", "memory_limit=9663676416"},
		{"GOMEMLIMIT goes first", "5GiB", memlimit.Limit(10 * gib), 5 * gib, "GOMEMLIMIT", "memory_limit_from=GOMEMLIMIT"},
		{"a cgroup without a limit", "", func() (uint64, error) { return 0, memlimit.ErrNoLimit }, math.MaxInt64, "none", "memory_limit_from=none"},
		{"no cgroup", "", func() (uint64, error) { return 0, memlimit.ErrNoCgroup }, math.MaxInt64, "none", "process is not in cgroup"},
		{"a cgroup that cannot be read", "", func() (uint64, error) { return 0, errors.New("bad mountinfo") }, math.MaxInt64, "none", "bad mountinfo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			debug.SetMemoryLimit(math.MaxInt64)
			t.Setenv("AUTOMEMLIMIT", "0.9")
			t.Setenv("GOMEMLIMIT", tt.env)
			if tt.env == "" {
				os.Unsetenv("GOMEMLIMIT")
			} else {
				debug.SetMemoryLimit(tt.want) // as the runtime does from it when the program starts
			}
			var out bytes.Buffer
			logger, err := NewLogger("", "", &out)
			if err != nil {
				t.Fatal(err)
			}
			got := applyLimits(logger, tt.cgroup)
			if got.Memory != tt.want || got.MemoryFrom != tt.from || got.Procs != runtime.GOMAXPROCS(0) {
				t.Errorf("got %+v, want %d from %s", got, tt.want, tt.from)
			}
			if limit := debug.SetMemoryLimit(-1); limit != tt.want {
				t.Errorf("the runtime has %d, want %d", limit, tt.want)
			}
			if s := out.String(); !strings.Contains(s, tt.log) || strings.Count(s, "\n") != 1 {
				t.Errorf("logged %s, want one line with %s", s, tt.log)
			}
		})
	}
}
