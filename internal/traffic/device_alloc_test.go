package traffic_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/devices"
)

// everybody is a register in which every device is active.
type everybody struct{}

func (everybody) Hold(id string) *devices.Record {
	r := devices.NewRecord(id)
	r.Learn(&devices.Knowledge{State: countersign.DeviceActive})
	return r
}
func (everybody) Release(*devices.Record)                     {}
func (everybody) Await(context.Context, *devices.Record)      {}
func (everybody) Seen(*devices.Record, time.Time, netip.Addr) {}

// A whole exchange where devices are enforced allocates nothing of ours: the state
// of the device is read, and written down. Where targets are told of it, nothing
// either.
func TestARequestOfADeviceAllocatesNothingOfOurs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	for name, config := range map[string]string{"enforce": deviceConfig, "annotate": annotated} {
		t.Run(name, func(t *testing.T) {
			r := startWith(t, frugal(t), with(config, `logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`,
				"logs: {connection: {path: connection.log, format: json}, access: {path: access.log, format: json}}"), traffic.Config{Devices: everybody{}})
			device := r.root.Client("MacID-" + mac)
			bare := allocations(t, bareTLS(t, r, device))
			if n := allocations(t, r.dial(device).conn); n > bare {
				t.Errorf("%v allocations per request, a bare TLS server has %v", n, bare)
			}
		})
	}
}
