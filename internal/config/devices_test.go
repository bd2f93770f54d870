package config

import (
	"os"
	"path/filepath"
	"testing"
)

// Where devices enroll by EST alone, they do as with an empty initialize.
func TestEnrollmentWithoutInitializeIsAsWithAnEmptyOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.yaml")
	text := `
node: {data_dir: data}
devices: {initialize: {}, authority: fleet}
authorities: [{name: fleet, dir: pki}]
listeners: [{name: web, address: ":8080", protocol: http, default: {forward: api}}]
target_groups: [{name: api, targets: "127.0.0.1:9001"}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, faults := Load(path)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := c.Devices.Enrollment()
	want.Path = "" // EST has its own
	compare(t, want, (&Devices{}).Enrollment())
}
