package publish_test

import (
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/devices"
)

var withDevices = with(goodConfig, "    default: {forward: app}", "    devices: enforce\n    default: {forward: app}") + `node: {data_dir: data}
devices:
  id: {form: mac, pattern: "^MacID-(.+)$", from: san_dns}
  bootstrap: macid
`

func TestAListenerHasItsRuleAboutDevices(t *testing.T) {
	f := newFiles(t)
	draft, faults := f.compile(with(withDevices, "macid", "MacID-00-00-00-00-00-00"))
	if draft == nil {
		t.Fatal(faults)
	}
	rule := draft.Listeners[0].Devices
	if rule.Mode != devices.Enforce || rule.Bootstrap != "00:00:00:00:00:00" {
		t.Errorf("the rule is %+v", rule)
	}
	who := &countersign.Identity{CommonNames: []string{"MacID-1"}, DNSNames: []string{"www.example.com", "MacID-aabbcc000001"}}
	if id, err := rule.IDs.Of(who); err != nil || id != "AA:BB:CC:00:00:01" {
		t.Errorf("the certificate names %q, %v", id, err)
	}
	again, _ := f.compile(with(withDevices, "macid", "00-00-00-00-00-00"))
	if !rule.Same(again.Listeners[0].Devices) {
		t.Error("read again, the rule is another one")
	}
	other, _ := f.compile(with(withDevices, "macid", "00-00-00-00-00-00", "san_dns", "san_uri"))
	if rule.Same(other.Listeners[0].Devices) {
		t.Error("with other ids it is the same rule")
	}
}

func TestFaultsOfDevices(t *testing.T) {
	f := newFiles(t)
	if _, faults := f.compile(withDevices); !strings.Contains(faults, `devices.bootstrap: found "macid" is no MAC address: `) {
		t.Errorf("a bootstrap id that is none: %s", faults)
	}
	config := with(withDevices, "macid", "00-00-00-00-00-00", "devices: enforce", "devices: annotate", "identity_headers: [aws]", "identity_headers: [aws, {set: X-Device_ID, value: x}]")
	if _, faults := f.compile(config); !strings.Contains(faults, "identity header X-Device_ID: devices: annotate sets it already") {
		t.Errorf("an own header of that name: %s", faults)
	}
}
