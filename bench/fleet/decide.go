package fleet

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"time"

	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/device/mirror"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
)

// A Decision says who asks, and how much else a node knows.
type Decision struct {
	Store   *store.Store
	Devices int                 // of the list, all of which are known
	Root    *x509.Certificate   // the anchor
	Chain   []*x509.Certificate // that an active device presents, its own first
	Times   int
}

// Measure has the mirror of a node learn all devices, and returns what it takes to
// decide about a request of one of them: the time, and how often memory is
// allocated in all of them together.
func (d Decision) Measure(ctx context.Context) (each time.Duration, allocations uint64, err error) {
	client, err := Verified(d.Root, d.Chain)
	if err != nil {
		return 0, 0, err
	}
	m := mirror.New(mirror.Config{Size: d.Devices})
	following, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Follow(following, mirror.Source{Standings: d.Store.Standings, Changes: d.Store.Changes, Suspect: func([]string) {}})
	}()
	err = fill(ctx, m, d.Devices)
	stop()
	<-done
	if err != nil {
		return 0, 0, err
	}
	var connection devices.Membership
	connection.Enter(m, &devices.Rule{Mode: devices.Enforce, IDs: device.IDs{Form: device.FormMAC}}, client)
	defer connection.Leave()
	if s, _ := connection.Standing(); s.Refusal(false) != nil {
		return 0, 0, s.Refusal(false)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range d.Times {
		if s, _ := connection.Standing(); s.Refusal(false) != nil {
			return 0, 0, s.Refusal(false)
		}
	}
	each = time.Since(began)
	runtime.ReadMemStats(&after)
	if known := m.State().Devices; known < d.Devices {
		return 0, 0, fmt.Errorf("the mirror knows %d devices: want %d", known, d.Devices)
	}
	return each / time.Duration(d.Times), after.Mallocs - before.Mallocs, nil
}

// Verified is who presents a chain, its own certificate first.
func Verified(root *x509.Certificate, chain []*x509.Certificate) (identify.Client, error) {
	anchors, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{root}})
	if err != nil {
		return identify.Client{}, err
	}
	proof, denial := anchors.Verify(chain, verify.Options{Now: time.Now()})
	if denial != nil {
		return identify.Client{}, denial
	}
	c, denial := identify.From(proof)
	if denial != nil {
		return identify.Client{}, denial
	}
	return c, nil
}

// fill has a mirror learn the first n devices.
func fill(ctx context.Context, m *mirror.Mirror, n int) error {
	records := make([]*devices.Record, n)
	for i := range records {
		records[i] = m.Hold(Device(i))
	}
	for i, record := range records {
		m.Await(ctx, record)
		if record.Known() == nil {
			return errors.Join(fmt.Errorf("nothing was learned of device %s", Device(i)), ctx.Err())
		}
		m.Release(record)
	}
	return nil
}
