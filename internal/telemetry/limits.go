package telemetry

import (
	"log/slog"
	"math"
	"os"
	"runtime"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryRatio leaves a tenth of the cgroup's memory to what the garbage
// collector does not count: stacks being copied, the kernel's socket buffers.
const memoryRatio = 0.9

// Limits is what the program takes of the machine.
type Limits struct {
	Memory     int64  // bytes that the garbage collector aims to stay below; math.MaxInt64: none
	MemoryFrom string // "GOMEMLIMIT", "cgroup" or "none"
	Procs      int    // GOMAXPROCS; follows the cgroup's CPU limit by itself since Go 1.25
}

// ApplyLimits makes the garbage collector aim to stay below nine tenths of the
// cgroup's memory limit, so that a container collects harder before it is
// killed, and logs what was chosen. The environment goes first: GOMEMLIMIT sets
// the limit, AUTOMEMLIMIT another ratio, or off.
func ApplyLimits(logger *slog.Logger) Limits { return applyLimits(logger, memlimit.FromCgroup) }

func applyLimits(logger *slog.Logger, cgroup memlimit.Provider) Limits {
	memory, err := memlimit.Set(memlimit.WithRatio(memoryRatio), memlimit.WithProvider(cgroup))
	l := Limits{Memory: memory, MemoryFrom: "cgroup", Procs: runtime.GOMAXPROCS(0)}
	attrs := []any{"gomaxprocs", l.Procs}
	if _, set := os.LookupEnv("GOMEMLIMIT"); set {
		l.MemoryFrom = "GOMEMLIMIT"
	} else if err != nil || memory == math.MaxInt64 {
		l.MemoryFrom = "none"
	}
	if l.MemoryFrom != "none" {
		attrs = append(attrs, "memory_limit", memory)
	}
	attrs = append(attrs, "memory_limit_from", l.MemoryFrom)
	if err != nil {
		// Not in a cgroup, or no Linux: the usual case on a developer's machine.
		attrs = append(attrs, "because", err)
	}
	logger.Info("limits chosen", attrs...)
	return l
}
