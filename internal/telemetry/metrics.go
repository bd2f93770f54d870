package telemetry

import (
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// MetricsConfig describes the program; its zero value works.
type MetricsConfig struct {
	Version  string // of the module
	Revision string // it was built from
	Now      func() time.Time
	Logger   *slog.Logger // told when /metrics cannot be collected; nil: slog.Default()
}

// Metrics holds every number of the program in a registry of its own. It
// outlives snapshots: a listener that is configured again goes on counting. A
// nil *Metrics counts nothing.
type Metrics struct {
	now      func() time.Time
	logger   *slog.Logger
	registry *prometheus.Registry

	reloads, failedReloads atomic.Uint64
	lastReload             atomic.Int64 // unix nanoseconds of the last success; 0: none
	lastFailed             atomic.Bool

	mu        sync.Mutex
	listeners map[string]*ListenerMetrics
	targets   map[target]*targetMetrics
	inventory Inventory
	devices   func() Devices // nil: there are none
	named     struct {       // what the inventory names
		listeners map[string]bool
		targets   map[target]bool
	}
}

type target struct{ group, address string }

type targetMetrics struct {
	healthy       bool
	connectErrors uint64
}

// An Inventory is what a snapshot consists of, as far as it is counted. What an
// inventory does not name is no longer shown at /metrics.
type Inventory struct {
	Generation uint64               // the snapshot's number
	Listeners  []string             // names
	Targets    map[string][]string  // every target group, even an empty one, to its addresses
	Groups     func() []TargetGroup // what target groups are doing; nil: nothing is shown of it
	Expiries   []Expiry
	Dropped    map[string]func() uint64 // log ("access", "connection") to its count of lost events
	Sources    func() []Source          // what is fetched; nil: nothing is
	OCSP       func() OCSP              // nil: no responder is asked
}

// OCSP is what OCSP responders were asked, and answered.
type OCSP struct {
	Responders   []Responder
	Answers      int    // that are kept
	Hits, Misses uint64 // decisions that found one, or none
}

// A Responder is how things stand with one of them.
type Responder struct {
	Name     string            // its URL
	Outcomes map[string]uint64 // requests by what came of them
	Answered time.Time         // the last answer that counted; zero: none did yet
}

// A Source is how things stand with what is fetched from a URL.
type Source struct {
	Name     string
	Good     bool      // the last fetch brought what is in force
	Checked  time.Time // when what is in force was last known to be what the server has
	Failures uint64
}

// An Expiry is a date from which something is no longer valid.
type Expiry struct {
	Kind  string // server_certificate, ca_certificate, crl, upstream_certificate ...
	Owner string // the listener, trust store or target group that has it
	Name  string // its file, or its subject
	At    time.Time
}

// NewMetrics returns metrics without any listener.
func NewMetrics(c MetricsConfig) *Metrics {
	m := &Metrics{
		now:       c.Now,
		logger:    c.Logger,
		registry:  prometheus.NewRegistry(),
		listeners: map[string]*ListenerMetrics{},
		targets:   map[target]*targetMetrics{},
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.logger == nil {
		m.logger = slog.Default()
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(c),
		(*collector)(m),
	)
	return m
}

// Handler serves the metrics in the formats of Prometheus and OpenMetrics.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(m.logger.Handler(), slog.LevelError),
		MaxRequestsInFlight: 8,
		EnableOpenMetrics:   true,
	})
}

// Listener returns the counters of a listener, the same ones until a Publish
// does not name it. They show once a Publish does.
func (m *Metrics) Listener(name string) *ListenerMetrics {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.listeners[name]
	if l == nil {
		l = newListenerMetrics(name)
		m.listeners[name] = l
	}
	// It may have been removed and come back while connections were still open.
	l.retired = false
	return l
}

// Publish says what there is from now on. Listeners, groups and targets that
// are gone vanish; a listener that still has open connections does when they end.
func (m *Metrics) Publish(inv Inventory) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inventory = inv
	m.named.listeners = map[string]bool{}
	for _, name := range inv.Listeners {
		m.named.listeners[name] = true
		if m.listeners[name] == nil {
			m.listeners[name] = newListenerMetrics(name)
		}
	}
	for name, l := range m.listeners {
		l.retired = !m.named.listeners[name]
		l.keepGroups(inv.Targets)
	}
	m.forget()

	m.named.targets = map[target]bool{}
	for group, addresses := range inv.Targets {
		for _, address := range addresses {
			m.named.targets[target{group, address}] = true
			m.target(group, address)
		}
	}
	for t := range m.targets {
		if !m.named.targets[t] {
			delete(m.targets, t)
		}
	}
}

// forget drops listeners that are gone, once nothing happens there any more;
// the caller holds the lock.
func (m *Metrics) forget() {
	for name, l := range m.listeners {
		if l.retired && l.open.Load() <= 0 {
			delete(m.listeners, name)
		}
	}
}

// target returns the counters of a target; the caller holds the lock.
func (m *Metrics) target(group, address string) *targetMetrics {
	t := m.targets[target{group, address}]
	if t == nil {
		t = new(targetMetrics)
		m.targets[target{group, address}] = t
	}
	return t
}

// Health notes what a health check found. It may come before the Publish that
// names the target; one that comes after the target is gone shows nowhere.
func (m *Metrics) Health(group, address string, healthy bool) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.target(group, address).healthy = healthy
}

// ConnectFailed counts a connection to a target that could not be made.
func (m *Metrics) ConnectFailed(group, address string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.target(group, address).connectErrors++
}

// Reloaded counts an attempt to put a configuration into force, the first one
// included.
func (m *Metrics) Reloaded(err error) {
	if m == nil {
		return
	}
	m.lastFailed.Store(err != nil)
	if err != nil {
		m.failedReloads.Add(1)
		return
	}
	m.reloads.Add(1)
	m.lastReload.Store(m.now().UnixNano())
}
