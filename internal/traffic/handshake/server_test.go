package handshake

import (
	"strings"
	"testing"
)

func TestAServerWithoutWhatItNeedsIsRefused(t *testing.T) {
	w := newWorld(t)
	bad := TLSPolicy{Name: "old", MinVersion: 0x0301, MaxVersion: 0x0304}
	_, err := New(Config{Listener: "devices", TLS: bad})
	for _, want := range []string{`listener "devices"`, "no certificate", "no policies", `TLS policy "old": versions TLS 1.0 to TLS 1.3`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if _, err := New(Config{Certificates: []Certificate{{}}, Policies: policies(t, off("p"))}); err == nil || !strings.Contains(err.Error(), "without leaf or key") {
		t.Errorf("an empty certificate: %v", err)
	}
	if _, err := New(Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, off("p"))}); err != nil {
		t.Errorf("the least there can be: %v", err)
	}
}
