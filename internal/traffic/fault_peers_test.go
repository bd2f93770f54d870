package traffic_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic"
)

// A program that verifies certificates from strangers will have faults that
// strangers find (CVE-2024-24783, CVE-2026-40097: a certificate that ended the
// process). One connection is what it may cost them.
func TestAFaultThatAConnectionFindsEndsThatConnectionAlone(t *testing.T) {
	var log bytes.Buffer
	r := start(t, httpConfig)
	good := r.node.Current().Listeners[0]
	faulty := *good
	faulty.Name, faulty.Address, faulty.Routes = "faulty", "127.0.0.2:0", nil

	node := traffic.New(traffic.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	snap := *r.node.Current()
	snap.Listeners = []*snapshot.Listener{good, &faulty}
	sockets, err := node.Open(t.Context(), []string{good.Address, faulty.Address})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Publish(&snap, sockets); err != nil {
		t.Fatal(err)
	}
	before := r.node
	r.node = node // r's clients find their way by it
	defer func() { r.node = before }()

	other := r.plain(good.Address)
	other.get().served(t)
	victim := r.plain(faulty.Address)
	victim.send()
	victim.ended()
	other.get().served(t)

	node.Drain(t.Context())
	for _, want := range []string{"please report it", "listener=faulty", "client=127.0.0.1:", "nil pointer", "(*Table).Match"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}
