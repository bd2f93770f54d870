package mirror

import (
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/devices"
)

// Who has changed a device waits until the node knows it, not for the change log.
func TestWhatIsRefreshedIsKnownWhenRefreshReturns(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{})
		active := func(k *devices.Knowledge) bool { return k.State == countersign.DeviceActive }
		for range 20 {
			id := "d" + time.Now().Format("150405.000000000")
			r.add(id, countersign.DeviceReady)
			d := r.look(id)
			r.state(d, countersign.DeviceReady)
			r.do("activate", id)
			r.Refresh(t.Context(), id, active)
			r.state(d, countersign.DeviceActive)
			r.Release(d)
		}
		r.Refresh(t.Context(), "nobody", active) // is not known: nothing is waited for
	})
}

func TestRefreshDoesNotWaitForAStoreThatIsAway(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		r := start(t, s, Config{})
		r.add("one", countersign.DeviceReady)
		d := r.look("one")
		r.cut(true)
		r.Refresh(t.Context(), "one", func(k *devices.Knowledge) bool { return k.State == countersign.DeviceActive })
		r.state(d, countersign.DeviceReady)
	})
}
