package http2

import (
	"bytes"
	"net"
	"os/exec"
	"testing"

	"countersign.dev/internal/testrequire"
)

// TestH2specFindsNothing runs all that h2spec has: generic, http2 and hpack.
func TestH2specFindsNothing(t *testing.T) {
	h2spec := testrequire.Program(t, "h2spec")
	host, port, _ := net.SplitHostPort(listen(t, Config{}, answer))
	out, err := exec.CommandContext(t.Context(), h2spec, "-h", host, "-p", port, "-o", "5").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte(" 0 skipped, 0 failed")) {
		t.Errorf("%v\n%s", err, out[max(0, len(out)-6000):])
	}
}
