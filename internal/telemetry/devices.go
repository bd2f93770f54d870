package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Devices is what a node knows of the registry of devices.
type Devices struct {
	Known, Connected  int
	Lookups, Hits     uint64    // connections, and those whose device was known
	Failures, Resyncs uint64    // of the registry
	Checked           time.Time // when it was last up to date; zero: never, nobody asks
	// Enrollments are attempts to get a certificate, by their outcome.
	Enrollments map[string]uint64
}

// DevicesFrom has the metrics tell what ask returns, once the registry was heard of.
func (m *Metrics) DevicesFrom(ask func() Devices) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.devices = ask
}

func (d Devices) collect(now time.Time, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	if d.Checked.IsZero() {
		return // there is none
	}
	gauge(descDevices, float64(d.Known))
	gauge(descDevicesConnected, float64(d.Connected))
	counter(descDeviceLookups, d.Hits, "hit")
	counter(descDeviceLookups, d.Lookups-d.Hits, "miss")
	gauge(descDeviceAge, now.Sub(d.Checked).Seconds())
	counter(descDeviceFailures, d.Failures)
	counter(descDeviceResyncs, d.Resyncs)
	for outcome, n := range d.Enrollments {
		counter(descEnrollments, n, outcome)
	}
}
