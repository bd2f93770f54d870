package accesslog

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"countersign.dev"
)

func stream() *Stream {
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return &Stream{
		Connection: &Connection{Time: began, Client: netip.MustParseAddrPort("192.0.2.1:4242"), Listener: "broker", ListenerPort: 8883,
			LocalIP: netip.MustParseAddr("10.0.0.7"), TLSVersion: 0x0304, Cipher: 0x1301, Curve: 29, ALPN: "mqtt", Offered: []string{"x mqtt", "mqtt"},
			ServerName: "broker.example.com", ServerCertificate: "broker", HandshakeLatency: 12 * time.Millisecond},
		Time: began.Add(3 * time.Second), End: "finished", TargetGroup: "brokers", Targets: []string{"10.0.0.1:1883", "10.0.0.2:1883"},
		ConnectTime: time.Millisecond, ReceivedBytes: 5, SentBytes: 7, Alert: -1,
	}
}

// The fields and their order are those of the Network Load Balancer user guide,
// "Access log entries".
func TestAStreamHasTheFieldsOfANetworkLoadBalancer(t *testing.T) {
	var c clock
	line := string(appendStreamAWS(nil, stream(), &c))
	fields := strings.Fields(line)
	want := []string{"tls", "2.0", "2026-11-22T12:00:03", fields[3], fields[4], "192.0.2.1:4242", "10.0.0.7:8883", "3000", "12", "5", "7", "-",
		"broker", "-", "TLS_AES_128_GCM_SHA256", "tlsv13", "X25519", "broker.example.com", "mqtt", "-", `"x%20mqtt","mqtt"`, "2026-11-22T12:00:00"}
	if got := strings.Join(fields, " "); got != strings.Join(want, " ") || !strings.HasPrefix(fields[3], "net/broker/") {
		t.Errorf("got  %s\nwant %s", got, strings.Join(want, " "))
	}
}

// Nothing that a stranger chooses makes another field, or another line.
func TestAStreamIsOneLineOf22Fields(t *testing.T) {
	for _, evil := range []string{"a b", "a\nb", `"`, "\x00\xff", strings.Repeat("x", 300)} {
		s := stream()
		s.ServerName, s.ALPN, s.ServerCertificate, s.Offered = evil, evil, evil, []string{"h2", evil}
		s.Denial, s.HandshakeLatency, s.TLSVersion, s.Alert = countersign.Deny(countersign.StageVerify, countersign.ClientCertExpired, "%s", evil), -1, 0, 42
		var c clock
		line := string(appendStreamAWS(nil, s, &c))
		if n := len(strings.Fields(line)); n != 22 || strings.Count(line, "\n") != 1 || strings.Count(strings.TrimSpace(line), " ") != 21 {
			t.Errorf("%q: %d fields: %s", evil, n, line)
		}
		var o map[string]any
		if err := json.Unmarshal(appendStreamJSON(nil, s, &c), &o); err != nil {
			t.Errorf("%q: %v", evil, err)
		}
		if o["type"] != "tls" || o["denial_code"] != "ClientCertExpired" || o["incoming_tls_alert"] != 42.0 || len(o["targets"].([]any)) != 2 {
			t.Errorf("%q: %v", evil, o)
		}
	}
}
