package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The unit file does what docs/use/operate.md says, and systemd, where there is
// one, understands it.
func TestSystemdUnit(t *testing.T) {
	unit := read(t, "deploy/systemd/countersign.service")
	for _, want := range []string{
		"\n[Unit]\n", "\n[Service]\n", "\n[Install]\n", "\nType=notify\n", "\nUser=countersign\n",
		"\nExecStart=/usr/local/bin/countersign serve -c /etc/countersign/countersign.yaml\n",
		"\nExecReload=/bin/kill -HUP $MAINPID\n", "\nNoNewPrivileges=yes\n", "\nStateDirectory=countersign\n", "\nWantedBy=multi-user.target\n",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit has no %q", strings.TrimSpace(want))
		}
	}
	for i, line := range strings.Split(unit, "\n") {
		if key, _, ok := strings.Cut(line, "="); line != "" && line[0] != '#' && line[0] != '[' && (!ok || strings.Contains(key, " ")) {
			t.Errorf("line %d is no KEY=VALUE: %q", i+1, line)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		return
	}
	// It wants the programs to be there.
	path := filepath.Join(t.TempDir(), "countersign.service")
	text := strings.ReplaceAll(unit, "/usr/local/bin/countersign", program(t))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
