package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"countersign.dev"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func newMetrics() *Metrics {
	return NewMetrics(MetricsConfig{Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)})
}

// busy returns metrics in which something has happened everywhere.
func busy() *Metrics {
	m := newMetrics()
	m.Reloaded(nil)
	m.Reloaded(errors.New("no"))
	m.Health("api", "127.0.0.1:9001", true)
	m.Publish(Inventory{
		Generation: 7,
		Listeners:  []string{"devices"},
		Targets:    map[string][]string{"api": {"127.0.0.1:9001", "127.0.0.1:9002"}},
		Expiries: []Expiry{
			{"server_certificate", "devices", "server.crt", now.Add(time.Hour)},
			{"server_certificate", "devices", "server.crt", now.Add(2 * time.Hour)},
			{"crl", "fleet", "revoked.crl", now.Add(-time.Minute)},
		},
		Dropped: map[string]func() uint64{"access": func() uint64 { return 3 }},
	})
	m.ConnectFailed("api", "127.0.0.1:9002")
	l := m.Listener("devices")
	for range 3 {
		l.Opened()
	}
	l.Expelled(countersign.ClientCertCrlHit)
	l.Expelled(countersign.ClientCertCrlHit)
	l.Closed()
	l.Handshake(nil, false, 3*time.Millisecond)
	l.Handshake(nil, true, time.Millisecond)
	l.Handshake(countersign.Deny(countersign.StageVerify, countersign.ClientCertExpired, "x"), false, 20*time.Second)
	l.Handshake(countersign.Deny(countersign.StageHandshake, countersign.HandshakeFailed, "x"), false, time.Hour)
	l.Denied(countersign.Deny(countersign.StageRoute, countersign.NoRoute, "x"))
	l.Request(l.Group("api"), 200, 700*time.Microsecond, 100, 1000)
	l.Request(l.Group("api"), 503, 2*time.Minute, 1, 2)
	l.Request(nil, 404, time.Millisecond, 5, 6)
	l.Request(nil, 0, -time.Second, -1, -1)
	l.Moved(l.Group("broker"), 30, 0)
	l.Moved(l.Group("broker"), 4, 50)
	l.Moved(nil, 1, 1)
	l.StreamEnded(l.Group("broker"), "finished")
	l.StreamEnded(l.Group("broker"), "client_reset")
	l.StreamEnded(l.Group("broker"), "finished")
	l.StreamEnded(nil, "refused")
	return m
}

func TestWhatIsShown(t *testing.T) {
	const want = `
# HELP countersign_config_last_reload_success_timestamp_seconds When a configuration last came into force.
# TYPE countersign_config_last_reload_success_timestamp_seconds gauge
countersign_config_last_reload_success_timestamp_seconds 1.7953416e+09
# HELP countersign_config_last_reload_successful Whether the last attempt to put a configuration into force succeeded.
# TYPE countersign_config_last_reload_successful gauge
countersign_config_last_reload_successful 0
# HELP countersign_config_reloads_total Attempts to put a configuration into force, by result.
# TYPE countersign_config_reloads_total counter
countersign_config_reloads_total{result="failure"} 1
countersign_config_reloads_total{result="success"} 1
# HELP countersign_connections_accepted_total Connections accepted.
# TYPE countersign_connections_accepted_total counter
countersign_connections_accepted_total{listener="devices"} 3
# HELP countersign_connections_expelled_total Live connections ended because their clients were no longer accepted, by denial code.
# TYPE countersign_connections_expelled_total counter
countersign_connections_expelled_total{code="ClientCertCrlHit",listener="devices"} 2
# HELP countersign_connections_open Connections open now.
# TYPE countersign_connections_open gauge
countersign_connections_open{listener="devices"} 2
# HELP countersign_denials_total Connections and requests refused, by stage and code.
# TYPE countersign_denials_total counter
countersign_denials_total{code="NoRoute",listener="devices",stage="route"} 1
# HELP countersign_expiry_seconds Seconds until a certificate or revocation list is no longer valid; negative afterwards.
# TYPE countersign_expiry_seconds gauge
countersign_expiry_seconds{kind="crl",name="revoked.crl",owner="fleet"} -60
countersign_expiry_seconds{kind="server_certificate",name="server.crt",owner="devices"} 3600
# HELP countersign_log_events_dropped_total Events that were lost because a log could not keep up or be written.
# TYPE countersign_log_events_dropped_total counter
countersign_log_events_dropped_total{log="access"} 3
# HELP countersign_received_bytes_total Bytes from clients: of requests that are over, and of connections without requests as they move.
# TYPE countersign_received_bytes_total counter
countersign_received_bytes_total{listener="devices",target_group=""} 5
countersign_received_bytes_total{listener="devices",target_group="api"} 101
countersign_received_bytes_total{listener="devices",target_group="broker"} 34
# HELP countersign_requests_total Requests by target group (empty: answered by the listener itself) and status (other: none was sent).
# TYPE countersign_requests_total counter
countersign_requests_total{listener="devices",status="200",target_group="api"} 1
countersign_requests_total{listener="devices",status="404",target_group=""} 1
countersign_requests_total{listener="devices",status="503",target_group="api"} 1
countersign_requests_total{listener="devices",status="other",target_group=""} 1
# HELP countersign_sent_bytes_total Bytes to clients: of requests that are over, and of connections without requests as they move.
# TYPE countersign_sent_bytes_total counter
countersign_sent_bytes_total{listener="devices",target_group=""} 6
countersign_sent_bytes_total{listener="devices",target_group="api"} 1002
countersign_sent_bytes_total{listener="devices",target_group="broker"} 50
# HELP countersign_snapshot_generation Number of the snapshot in force; 0 before the first.
# TYPE countersign_snapshot_generation gauge
countersign_snapshot_generation 7
# HELP countersign_streams_total Connections without requests that are over, by target group (empty: let into none) and how they ended, as the access log has it.
# TYPE countersign_streams_total counter
countersign_streams_total{end="client_reset",listener="devices",target_group="broker"} 1
countersign_streams_total{end="finished",listener="devices",target_group="broker"} 2
countersign_streams_total{end="refused",listener="devices",target_group=""} 1
# HELP countersign_target_connection_errors_total Connections to the target that could not be made.
# TYPE countersign_target_connection_errors_total counter
countersign_target_connection_errors_total{target="127.0.0.1:9001",target_group="api"} 0
countersign_target_connection_errors_total{target="127.0.0.1:9002",target_group="api"} 1
# HELP countersign_target_healthy Whether the target is healthy (1) or not, or not yet (0).
# TYPE countersign_target_healthy gauge
countersign_target_healthy{target="127.0.0.1:9001",target_group="api"} 1
countersign_target_healthy{target="127.0.0.1:9002",target_group="api"} 0
# HELP countersign_tls_handshake_duration_seconds Duration of TLS handshakes that did not fail.
# TYPE countersign_tls_handshake_duration_seconds histogram
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.0005"} 0
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.001"} 1
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.0025"} 1
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.005"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.01"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.025"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.05"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.1"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.25"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="0.5"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="1"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="2.5"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="5"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="10"} 2
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="30"} 3
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="60"} 3
countersign_tls_handshake_duration_seconds_bucket{listener="devices",le="+Inf"} 3
countersign_tls_handshake_duration_seconds_sum{listener="devices"} 20.004
countersign_tls_handshake_duration_seconds_count{listener="devices"} 3
# HELP countersign_tls_handshakes_total TLS handshakes by result (admitted, refused by the client's certificate, failed as TLS) and denial code.
# TYPE countersign_tls_handshakes_total counter
countersign_tls_handshakes_total{code="",listener="devices",result="admitted"} 2
countersign_tls_handshakes_total{code="ClientCertExpired",listener="devices",result="refused"} 1
countersign_tls_handshakes_total{code="HandshakeFailed",listener="devices",result="failed"} 1
# HELP countersign_tls_resumptions_total TLS handshakes that resumed a session.
# TYPE countersign_tls_resumptions_total counter
countersign_tls_resumptions_total{listener="devices"} 1
`
	if err := testutil.CollectAndCompare((*collector)(busy()), strings.NewReader(want),
		"countersign_config_last_reload_success_timestamp_seconds", "countersign_config_last_reload_successful",
		"countersign_config_reloads_total", "countersign_connections_accepted_total", "countersign_connections_expelled_total", "countersign_connections_open",
		"countersign_denials_total", "countersign_expiry_seconds", "countersign_log_events_dropped_total",
		"countersign_received_bytes_total", "countersign_requests_total", "countersign_sent_bytes_total",
		"countersign_snapshot_generation", "countersign_streams_total", "countersign_target_connection_errors_total", "countersign_target_healthy",
		"countersign_tls_handshake_duration_seconds", "countersign_tls_handshakes_total", "countersign_tls_resumptions_total",
	); err != nil {
		t.Error(err)
	}
}

func TestNamesAreAsPrometheusLikesThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(busy().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestHandler(t *testing.T) {
	m := NewMetrics(MetricsConfig{Version: "v1.2.3", Revision: "abc"})
	got := scrape(t, m)
	for _, want := range []string{
		`countersign_build_info{goversion="go`, `revision="abc",version="v1.2.3"} 1`,
		"go_goroutines ", "process_open_fds ", "countersign_snapshot_generation 0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "last_reload_success_timestamp") {
		t.Error("a time of the last success before there was one")
	}
	w := httptest.NewRecorder()
	(*Metrics)(nil).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 404 {
		t.Errorf("metrics that are off answer %d, want 404", w.Code)
	}
}

func TestWhatIsGoneVanishes(t *testing.T) {
	m := busy() // two connections are open at devices
	devices := m.Listener("devices")
	m.Publish(Inventory{Generation: 8, Listeners: []string{"ops"}, Targets: map[string][]string{"api": {"127.0.0.1:9001"}}})
	m.Health("api", "127.0.0.1:9002", true) // a check that was under way

	got := scrape(t, m)
	for _, gone := range []string{"127.0.0.1:9002", "countersign_expiry_seconds{", "log_events_dropped_total{"} {
		if strings.Contains(got, gone) {
			t.Errorf("%s is still shown", gone)
		}
	}
	for _, want := range []string{
		`countersign_target_healthy{target="127.0.0.1:9001",target_group="api"} 1`,
		`countersign_connections_open{listener="devices"} 2`, // still open
		`countersign_connections_open{listener="ops"} 0`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	devices.Closed()
	devices.Closed()
	if got := scrape(t, m); strings.Contains(got, `listener="devices"`) {
		t.Error("a removed listener is shown after its last connection")
	}

	ops := m.Listener("ops")
	ops.Request(ops.Group("api"), 200, 0, 0, 0)
	ops.Opened()
	m.Publish(Inventory{Listeners: []string{"ops"}})
	if got := scrape(t, m); strings.Contains(got, `target_group="api"`) {
		t.Error("a removed group is shown")
	}
	m.Publish(Inventory{}) // removed while a connection is open, and back
	if m.Listener("ops") != ops {
		t.Error("a listener that came back counts anew although it never stopped")
	}
	m.Publish(Inventory{Listeners: []string{"ops"}})
	ops.Closed()
	if got := scrape(t, m); !strings.Contains(got, `countersign_connections_open{listener="ops"} 0`) {
		t.Error("a listener that came back is not shown")
	}
	if m.Listener("ops") != m.Listener("ops") {
		t.Error("a listener has two sets of counters")
	}
}

func TestCountersGoOnOverAReload(t *testing.T) {
	m := newMetrics()
	before := m.Listener("devices")
	before.Request(before.Group("api"), 200, 0, 0, 0)
	scrape(t, m) // must not lose what is not published yet
	if m.Listener("devices") != before {
		t.Fatal("a scrape lost a listener that is about to be published")
	}
	m.Publish(Inventory{Listeners: []string{"devices"}, Targets: map[string][]string{"api": nil}})
	after := m.Listener("devices")
	after.Request(after.Group("api"), 200, 0, 0, 0)
	if got := scrape(t, m); !strings.Contains(got, `countersign_requests_total{listener="devices",status="200",target_group="api"} 2`) {
		t.Errorf("a reload lost count:\n%s", got)
	}
}

func TestOffIsSafe(t *testing.T) {
	var m *Metrics
	m.Publish(Inventory{})
	m.Health("g", "t", true)
	m.ConnectFailed("g", "t")
	m.Reloaded(nil)
	l := m.Listener("x")
	l.Opened()
	l.Closed()
	l.Handshake(nil, true, 0)
	l.Expelled(countersign.ClientCertCrlHit)
	l.Denied(countersign.Deny(countersign.StageRoute, countersign.NoRoute, ""))
	l.Request(l.Group("g"), 200, 0, 0, 0)
	if m != nil || l != nil {
		t.Error("metrics that are off gave out counters")
	}
}

func TestConcurrentUse(t *testing.T) {
	m := newMetrics()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 200 {
				l := m.Listener("devices")
				l.Opened()
				l.Handshake(countersign.Deny(countersign.StageVerify, countersign.ClientCertExpired, ""), j%2 == 0, time.Millisecond)
				l.Request(l.Group(fmt.Sprint("g", j%3)), 100+j, time.Millisecond, 1, 1)
				m.Health("g0", "t", j%2 == 0)
				l.Closed()
				if i == 0 {
					m.Publish(Inventory{Listeners: []string{"devices"}, Targets: map[string][]string{"g0": {"t"}}})
				}
			}
		})
	}
	for range 10 {
		scrape(t, m)
	}
	group.Wait()
	if !strings.Contains(scrape(t, m), `countersign_connections_open{listener="devices"} 0`) {
		t.Error("connections were lost count of")
	}
}

func TestRequestAllocatesNothing(t *testing.T) {
	l := newMetrics().Listener("devices")
	g := l.Group("api")
	if got := testing.AllocsPerRun(1000, func() { l.Request(g, 200, time.Millisecond, 100, 1000) }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
	d := countersign.Deny(countersign.StageVerify, countersign.ClientCertExpired, "")
	if got := testing.AllocsPerRun(1000, func() { l.Handshake(d, false, time.Millisecond); l.Denied(d) }); got != 0 {
		t.Errorf("%v allocations for a refused handshake, want 0", got)
	}
}

// To be below 200 ns; it is about a tenth of that.
func BenchmarkRequest(b *testing.B) {
	l := newMetrics().Listener("devices")
	g := l.Group("api")
	for b.Loop() {
		l.Request(g, 200, time.Millisecond, 100, 1000)
	}
}

func BenchmarkScrape(b *testing.B) {
	h := busy().Handler()
	r := httptest.NewRequest("GET", "/metrics", nil)
	for b.Loop() {
		h.ServeHTTP(discard{httptest.NewRecorder()}, r)
	}
}

type discard struct{ *httptest.ResponseRecorder }

func (discard) Write(b []byte) (int, error) { return io.Discard.Write(b) }

// A rule is counted by its name for as long as it is there.
func TestRulesAreCounted(t *testing.T) {
	m := NewMetrics(MetricsConfig{})
	l := m.Listener("web")
	m.Publish(Inventory{Listeners: []string{"web"}})
	rules := l.Rules([]string{"admin", "2"})
	rules[0].Taken()
	rules[0].Taken()
	rules[1].Taken()
	var nobody *RuleMetrics
	nobody.Taken()
	l.Rules([]string{"2", "3"})[0].Taken()
	got := scrape(t, m)
	for line, want := range map[string]bool{
		`countersign_rule_requests_total{listener="web",rule="2"} 2`: true,
		`countersign_rule_requests_total{listener="web",rule="3"} 0`: true,
		`rule="admin"`: false,
	} {
		if strings.Contains(got, line) != want {
			t.Errorf("%s: %v\n%s", line, !want, got)
		}
	}
	if (*ListenerMetrics)(nil).Rules([]string{"a"})[0] != nil {
		t.Error("a listener that counts nothing counts rules")
	}
}
