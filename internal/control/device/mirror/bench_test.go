package mirror

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// endless is a store in which every device is active and has a credential.
type endless struct{}

func (endless) Standings(_ context.Context, ids []string) ([]store.Standing, error) {
	all := make([]store.Standing, len(ids))
	for i, id := range ids {
		all[i] = store.Standing{ID: id, State: countersign.DeviceActive,
			Credentials: []store.CredentialStanding{{State: countersign.CredentialValid}}}
	}
	return all, nil
}

// BenchmarkAConnectionOfAMillionDevices is what a connection costs whose device is
// known, among a million that are; B/device is what each of them takes.
func BenchmarkAConnectionOfAMillionDevices(b *testing.B) {
	const many = 1_000_000
	ids := make([]string, many)
	for i := range ids {
		ids[i] = fmt.Sprintf("AA:BB:%02X:%02X:%02X:%02X", i>>24, i>>16&255, i>>8&255, i&255)
	}
	m := New(Config{})
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { m.answer(ctx, Source{Standings: endless{}, Suspect: func([]string) {}}) })
	defer func() { cancel(); running.Wait() }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, id := range ids {
		m.Hold(id)
	}
	for _, id := range ids {
		m.mu.Lock()
		r := m.entries[id].Record
		m.mu.Unlock()
		m.Await(ctx, r)
		m.Release(r)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	i := 0
	for b.Loop() {
		m.Release(m.Hold(ids[i%many]))
		i += 7919
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/many, "B/device")
}
