package telemetry

import (
	"cmp"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A collector turns Metrics into what Prometheus reads, when it reads.
type collector Metrics

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("countersign_"+name, help, labels, nil)
}

// Every metric, in one list: name, meaning, labels.
var (
	descAccepted = desc("connections_accepted_total",
		"Connections accepted.", "listener")
	descOpen = desc("connections_open",
		"Connections open now.", "listener")
	descExpelled = desc("connections_expelled_total",
		"Live connections ended because their clients were no longer accepted, by denial code.", "listener", "code")
	descHandshakes = desc("tls_handshakes_total",
		"TLS handshakes by result (admitted, refused by the client's certificate, failed as TLS) and denial code.", "listener", "result", "code")
	descHandshakeTime = desc("tls_handshake_duration_seconds",
		"Duration of TLS handshakes that did not fail.", "listener")
	descWaiting = desc("tls_handshakes_waiting",
		"TLS handshakes that wait for their turn (limits.handshakes) now.", "listener")
	descResumed = desc("tls_resumptions_total",
		"TLS handshakes that resumed a session.", "listener")
	descDenials = desc("denials_total",
		"Connections and requests refused, by stage and code.", "listener", "stage", "code")
	descRequests = desc("requests_total",
		"Requests by target group (empty: answered by the listener itself) and status (other: none was sent).", "listener", "target_group", "status")
	descTaken = desc("rule_requests_total",
		"Requests, or connections without requests, that a rule of the listener has taken, whatever came of them.", "listener", "rule")
	descRequestTime = desc("request_duration_seconds",
		"From the arrival of a request to the end of its response.", "listener")
	descReceived = desc("received_bytes_total",
		"Bytes from clients: of requests that are over, and of connections without requests as they move.", "listener", "target_group")
	descSent = desc("sent_bytes_total",
		"Bytes to clients: of requests that are over, and of connections without requests as they move.", "listener", "target_group")
	descStreams = desc("streams_total",
		"Connections without requests that are over, by target group (empty: let into none) and how they ended, as the access log has it.", "listener", "target_group", "end")

	descHealthy = desc("target_healthy",
		"Whether the target is healthy (1) or not, or not yet (0).", "target_group", "target")
	descConnectErrors = desc("target_connection_errors_total",
		"Connections to the target that could not be made.", "target_group", "target")

	descTargetShare = desc("target_share",
		"The weight of the target as it is now: less than configured while it starts slowly or fails more than the others, 0 while it is ejected.", "target_group", "target")
	descTargetEjected = desc("target_ejected",
		"Whether the target is left out because it failed requests (1) or not (0).", "target_group", "target")
	descTargetEjections = desc("target_ejections_total",
		"How often the target was left out because it failed requests.", "target_group", "target")
	descTargetInFlight = desc("target_requests_in_flight",
		"Requests at the target now.", "target_group", "target")
	descQueue = desc("target_group_queue_length",
		"Requests that wait for a target to have less than max_connections now.", "target_group")
	descNameGood = desc("target_name_resolved",
		"Whether the name was resolved when it was looked up last (1) or not (0).", "target_group", "name")
	descNameTargets = desc("target_name_targets",
		"Targets behind the name, from the last good answer.", "target_group", "name")

	descReloads = desc("config_reloads_total",
		"Attempts to put a configuration into force, by result.", "result")
	descReloadOK = desc("config_last_reload_successful",
		"Whether the last attempt to put a configuration into force succeeded.")
	descReloadTime = desc("config_last_reload_success_timestamp_seconds",
		"When a configuration last came into force.")
	descGeneration = desc("snapshot_generation",
		"Number of the snapshot in force; 0 before the first.")
	descExpiry = desc("expiry_seconds",
		"Seconds until a certificate or revocation list is no longer valid; negative afterwards.", "kind", "owner", "name")
	descSourceGood = desc("source_good",
		"Whether what is in force is what the last fetch from the source found (1), or the fetch failed or found something that is refused (0).", "source")
	descSourceAge = desc("source_age_seconds",
		"Seconds since what is in force was last known to be what the source has.", "source")
	descSourceFailures = desc("source_failures_total",
		"Fetches from the source that failed, or found something that is refused.", "source")
	descResponses = desc("ocsp_requests_total",
		"Questions to an OCSP responder by what came of them: good, revoked, unknown; failed (network, HTTP, time), refused by it, invalid (a response that does not count), skipped (it failed just before and was not asked).", "responder", "outcome")
	descResponderAge = desc("ocsp_last_answer_age_seconds",
		"Seconds since the OCSP responder last gave an answer that counts.", "responder")
	descAnswers = desc("ocsp_answers",
		"Answers of OCSP responders that are kept.")
	descLookups = desc("ocsp_lookups_total",
		"Decisions about a certificate that found an answer of an OCSP responder (hit), or none (miss).", "result")
	descDevices = desc("devices_known",
		"Devices of which this node knows the state.")
	descDevicesConnected = desc("devices_connected",
		"Devices that have connections to this node, at listeners with a rule about devices.")
	descDeviceLookups = desc("device_lookups_total",
		"Connections of devices by whether the state was known on this node (hit), or the registry was asked (miss).", "result")
	descDeviceAge = desc("device_registry_age_seconds",
		"Seconds since what this node knows of devices was last up to date with the registry.")
	descDeviceFailures = desc("device_registry_failures_total",
		"Questions to the registry of devices that failed.")
	descDeviceResyncs = desc("device_registry_resyncs_total",
		"Times that the state of every known device was read anew, because the registry could not tell what had changed.")
	descEnrollments = desc("enrollments_total",
		"Attempts of devices to get a certificate, by outcome: delivered, repeated, or the code of the refusal.", "outcome")
	descDropped = desc("log_events_dropped_total",
		"Events that were lost because a log could not keep up or be written.", "log")
)

// buildInfo is a metric that is always 1, its labels being the information.
func buildInfo(c MetricsConfig) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "countersign_build_info",
		Help: "The running program.",
		ConstLabels: prometheus.Labels{
			"version": cmp.Or(c.Version, "(devel)"), "revision": c.Revision, "goversion": runtime.Version(),
		},
	})
	g.Set(1)
	return g
}

// Describe implements prometheus.Collector.
func (*collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descAccepted, descOpen, descExpelled, descHandshakes, descHandshakeTime, descWaiting, descResumed, descDenials,
		descRequests, descTaken, descRequestTime, descReceived, descSent, descStreams, descHealthy, descConnectErrors,
		descTargetShare, descTargetEjected, descTargetEjections, descTargetInFlight, descQueue, descNameGood, descNameTargets,
		descReloads, descReloadOK, descReloadTime, descGeneration, descExpiry, descDropped,
		descSourceGood, descSourceAge, descSourceFailures,
		descResponses, descResponderAge, descAnswers, descLookups,
		descDevices, descDevicesConnected, descDeviceLookups, descDeviceAge, descDeviceFailures, descDeviceResyncs,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	m := (*Metrics)(c)
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}

	counter(descReloads, m.reloads.Load(), "success")
	counter(descReloads, m.failedReloads.Load(), "failure")
	last := m.lastReload.Load()
	gauge(descReloadOK, truth(last != 0 && !m.lastFailed.Load()))
	if last != 0 {
		gauge(descReloadTime, float64(last)/float64(time.Second))
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
	gauge(descGeneration, float64(m.inventory.Generation))
	for log, dropped := range m.inventory.Dropped {
		counter(descDropped, dropped(), log)
	}
	m.collectExpiries(gauge)
	if m.inventory.Sources != nil {
		for _, s := range m.inventory.Sources() {
			gauge(descSourceGood, truth(s.Good), s.Name)
			if !s.Checked.IsZero() { // else there never was anything
				gauge(descSourceAge, m.now().Sub(s.Checked).Seconds(), s.Name)
			}
			counter(descSourceFailures, s.Failures, s.Name)
		}
	}
	if m.inventory.OCSP != nil {
		m.inventory.OCSP().collect(m.now(), counter, gauge)
	}
	if m.devices != nil {
		m.devices().collect(m.now(), counter, gauge)
	}
	m.collectTargets(counter, gauge)
	for t := range m.named.targets {
		gauge(descHealthy, truth(m.targets[t].healthy), t.group, t.address)
		counter(descConnectErrors, m.targets[t].connectErrors, t.group, t.address)
	}
	for name, l := range m.listeners {
		if m.named.listeners[name] || l.retired {
			l.collect(ch, counter, gauge)
		}
	}
}

// collectExpiries shows the soonest date where several have the same labels.
func (m *Metrics) collectExpiries(gauge func(*prometheus.Desc, float64, ...string)) {
	type labels struct{ kind, owner, name string }
	soonest := map[labels]time.Time{}
	for _, e := range m.inventory.Expiries {
		k := labels{e.Kind, e.Owner, e.Name}
		if at, ok := soonest[k]; !ok || e.At.Before(at) {
			soonest[k] = e.At
		}
	}
	now := m.now()
	for k, at := range soonest {
		gauge(descExpiry, at.Sub(now).Seconds(), k.kind, k.owner, k.name)
	}
}

func (o OCSP) collect(now time.Time, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	if len(o.Responders) == 0 && o.Answers == 0 {
		return // nobody is asked
	}
	gauge(descAnswers, float64(o.Answers))
	counter(descLookups, o.Hits, "hit")
	counter(descLookups, o.Misses, "miss")
	for _, r := range o.Responders {
		for outcome, n := range r.Outcomes {
			counter(descResponses, n, r.Name, outcome)
		}
		if !r.Answered.IsZero() {
			gauge(descResponderAge, now.Sub(r.Answered).Seconds(), r.Name)
		}
	}
}

func (l *ListenerMetrics) collect(ch chan<- prometheus.Metric,
	counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	counter(descAccepted, l.accepted.Load(), l.name)
	gauge(descOpen, float64(l.open.Load()), l.name)
	counter(descResumed, l.resumed.Load(), l.name)
	ch <- l.handshakeTime.metric(descHandshakeTime, l.name)
	ch <- l.requestTime.metric(descRequestTime, l.name)

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting != nil {
		gauge(descWaiting, float64(l.waiting()), l.name)
	}
	for end, n := range l.handshakes {
		counter(descHandshakes, n, l.name, end.result, string(end.code))
	}
	for d, n := range l.denials {
		counter(descDenials, n, l.name, string(d.stage), string(d.code))
	}
	for code, n := range l.expelled {
		counter(descExpelled, n, l.name, string(code))
	}
	for rule, r := range l.rules {
		counter(descTaken, r.taken.Load(), l.name, rule)
	}
	for group, g := range l.groups {
		counter(descReceived, g.received.Load(), l.name, group)
		counter(descSent, g.sent.Load(), l.name, group)
		for end, n := range g.streams {
			counter(descStreams, n, l.name, group, end)
		}
		for i := range g.requests {
			if n := g.requests[i].Load(); n > 0 {
				counter(descRequests, n, l.name, group, statusLabel(i+minStatus))
			}
		}
	}
}

func statusLabel(status int) string {
	if status == otherStatus {
		return "other"
	}
	return strconv.Itoa(status)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
