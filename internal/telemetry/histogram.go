package telemetry

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// buckets are the upper bounds of both latency histograms, in seconds. A full
// TLS 1.3 handshake takes a few milliseconds and round trips, a request to a
// near target less than one.
var buckets = [...]float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// A histogram counts durations without locks or allocation.
type histogram struct {
	counts [len(buckets) + 1]atomic.Uint64 // one each, not cumulative; the last is above all bounds
	nanos  atomic.Int64
}

func (h *histogram) observe(d time.Duration) {
	d = max(d, 0) // a clock that was set back
	s := d.Seconds()
	i := 0
	for i < len(buckets) && s > buckets[i] {
		i++
	}
	h.counts[i].Add(1)
	h.nanos.Add(int64(d))
}

// metric is the histogram as Prometheus wants it: cumulative, the count being
// the sum of the buckets even while others observe.
func (h *histogram) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	cumulative := make(map[float64]uint64, len(buckets))
	total := uint64(0)
	for i := range h.counts {
		total += h.counts[i].Load()
		if i < len(buckets) {
			cumulative[buckets[i]] = total
		}
	}
	sum := math.Max(0, time.Duration(h.nanos.Load()).Seconds())
	return prometheus.MustNewConstHistogram(desc, total, sum, cumulative, labels...)
}
