package memoryreturn

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryIsGivenBackOnceAfterABurst(t *testing.T) {
	const mib = 1 << 20
	var w watch
	var allocated uint64
	for i, found := range []struct {
		more, live uint64
		want       bool
	}{
		{100 * mib, 10 * mib, false}, // a burst
		{50 * mib, 20 * mib, false},
		{mib, 20 * mib, false}, // calm
		{mib, 20 * mib, false},
		{0, 20 * mib, true},
		{0, 20 * mib, false}, // nothing more to give
		{mib, 20 * mib, false},
		{mib, 20 * mib, false},
		{50 * mib, 20 * mib, false}, // busy again
		{mib, 100 * mib, false},
		{mib, 300 * mib, false},
		{mib, 300 * mib, false}, // a quarter of what is in use would be 75 MiB
		{mib, 100 * mib, true},
		{mib, 0, false}, {mib, 0, false}, {mib, 0, false}, {mib, 0, false}, // a trickle
		{mib, 0, false}, {mib, 0, false}, {mib, 0, false}, {mib, 0, true}, // has come to something
	} {
		allocated += found.more
		if got := w.due(look{allocated: allocated, live: found.live}); got != found.want {
			t.Errorf("look %d: %v, want %v", i+1, got, found.want)
		}
	}
}

// Requests on kept connections allocate nothing.
func TestAProgramThatWorksIsNotSilent(t *testing.T) {
	w := watch{last: look{allocated: 1 << 30}}
	l := w.last
	for i := range 10 {
		l.worked += effort + time.Millisecond
		if w.due(l) {
			t.Fatalf("look %d: memory is given back while the program works", i+1)
		}
	}
	for i := range calm {
		l.worked += effort
		if got, want := w.due(l), i == calm-1; got != want {
			t.Errorf("%d looks at a silent program: %v, want %v", i+1, got, want)
		}
	}
}

func TestWorkIsCPUTime(t *testing.T) {
	before := worked()
	for end := time.Now().Add(20 * time.Second); worked()-before < 10*time.Millisecond; {
		if time.Now().After(end) {
			t.Fatal("twenty seconds of work are not ten milliseconds of CPU time")
		}
	}
}

var burst [][]byte

// The whole of it: what a burst has left is with the operating system soon.
func TestWhatABurstLeftIsReturned(t *testing.T) {
	const size = 64 << 20
	end := Watch()
	defer end()
	for range size / 4096 {
		burst = append(burst, make([]byte, 4096))
	}
	runtime.KeepAlive(burst)
	burst = nil
	found := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
	for until := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if metrics.Read(found); found[0].Value.Uint64() > size/2 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d bytes are given back, want most of %d", found[0].Value.Uint64(), size)
		}
	}
}
