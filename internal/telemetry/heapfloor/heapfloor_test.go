package heapfloor

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPercent(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		live, roots, floor uint64
		want               int
	}{
		{6 * mib, 2 * mib, 32 * mib, 325},  // 6 + 325 % of 8 = 32
		{16 * mib, 0, 32 * mib, 100},       // half of the floor
		{22 * mib, 5 * mib, 32 * mib, 50},  // never less
		{500 * mib, 1 * mib, 32 * mib, 50}, // far beyond
		{0, 0, 32 * mib, 800},              // 800 % of the runtime's least, 4 MiB, is the floor
		{3 * mib, 1 * mib, 0, 50},
	} {
		if got := percent(c.live, c.roots, c.floor); got != c.want {
			t.Errorf("percent(%d, %d, %d) = %d, want %d", c.live, c.roots, c.floor, got, c.want)
		}
	}
}

// now is the percentage in force.
func now() int {
	p := debug.SetGCPercent(ordinary)
	debug.SetGCPercent(p)
	return p
}

var kept []byte

func TestThePaceFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "") // restored afterwards
	unset(t)
	const floor = 64 << 20
	end := Keep(floor)
	until := func(what string, reached func(int) bool) {
		t.Helper()
		for range 10_000 { // the runtime calls back soon after a collection
			if runtime.GC(); reached(now()) {
				return
			}
		}
		t.Fatalf("%s: the heap grows by %d %%", what, now())
	}
	until("a small heap", func(p int) bool { return p > 400 })
	kept = make([]byte, floor)
	until("a heap beyond the floor", func(p int) bool { return p == beyond })
	kept = nil
	until("a heap that is small again", func(p int) bool { return p > 400 })
	if end(); now() != ordinary {
		t.Errorf("after the end: %d %%", now())
	}
	for range 3 {
		runtime.GC()
	}
	if now() != ordinary {
		t.Errorf("it goes on after the end: %d %%", now())
	}
}

func TestTheEnvironmentGoesFirst(t *testing.T) {
	t.Setenv("GOGC", "250")
	before := now()
	end := Keep(1 << 30)
	if runtime.GC(); now() != before {
		t.Errorf("%d %%, want %d %%", now(), before)
	}
	end()
}

func unset(t *testing.T) {
	t.Helper()
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
}
