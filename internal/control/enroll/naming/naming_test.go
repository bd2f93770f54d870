package naming_test

import (
	"regexp"
	"strings"
	"testing"

	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll/naming"
)

const one = "AA:BB:CC:00:00:01"

func TestHowCertificatesNameDevicesIsToldFromThePattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"^MacID-(.+)$":                 "MacID-{id}",
		"(.+)":                         "{id}",
		"^urn:dev:mac:([0-9a-f]{12})$": "urn:dev:mac:{id}",
		`^dev\.(.+)\.example\.com$`:    "dev.{id}.example.com",
		"^(?:MacID|Mac)-(.+)$":         "",
		"^MacID-.+$":                   "",
		"^[A-Z]+-(.+)$":                "",
	} {
		if got := naming.Of(device.IDs{Pattern: regexp.MustCompile(pattern)}); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	if got := naming.Of(device.IDs{}); got != "{id}" {
		t.Errorf("without a pattern: %q", got)
	}
	ids := device.IDs{Form: device.FormMAC, Pattern: regexp.MustCompile("^MacID-(.+)$")}
	if err := naming.Check(ids, "MacID-{id}", one); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"{id}", "Mac-{id}", "MacID-x{id}"} {
		if err := naming.Check(ids, name, one); err == nil || !strings.Contains(err.Error(), one) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "MacID", "{id}{id}"} {
		if naming.CheckMark(name) == nil {
			t.Errorf("%q has one place for the id", name)
		}
	}
}
