package traffic_test

import (
	"path/filepath"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store/sqlite"
)

var brokerConfig = with(deviceConfig, `protocol: https`, `protocol: tls`, "    identity_headers: [aws]\n", "",
	`{name: app, targets: ["BACKEND"]}`, `{name: app, protocol: tcp, targets: ["BACKEND"]}`)

// A change in the registry ends the device's streams, silent or not; the target
// sees the end, and the streams of others go on.
func TestADeviceThatIsOutOfServiceLosesItsStreams(t *testing.T) {
	for _, c := range []struct{ verb, code string }{
		{"suspend", "DeviceSuspended"},
		{"revoke", "DeviceRevoked"},
		{"retire", "DeviceRetired"},
	} {
		t.Run(c.verb, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
			if err != nil {
				t.Fatal(err)
			}
			p := newParty(t)
			f := startFleetOn(t, s, p.address, brokerConfig)
			f.add(mac, countersign.DeviceActive)
			f.add(otherMAC, countersign.DeviceActive)
			silent, session := f.both(p, f.device(mac))
			f.parked(2)
			used, second := f.both(p, f.device(mac))
			other, goesOn := f.both(p, f.device(otherMAC))
			for _, way := range [][2]*end{{used, second}, {other, goesOn}} {
				way[0].say("hello")
				way[1].hear("hello")
			}
			began := time.Now()
			f.do(c.verb, mac)
			for _, e := range []*end{silent, session, used, second} {
				e.hearsEnd()
			}
			t.Logf("two streams ended within %v", time.Since(began))
			f.until("both have their lines", func() bool {
				found, _ := f.journal.of(event{"event": "stream", "end": "expelled", "denial_code": c.code, "subject": "CN=MacID-" + mac})
				return len(found) == 2
			})
			other.say("still here")
			goesOn.hear("still here")
			goesOn.say("so am I")
			other.hear("so am I")
			// It is not let in any more, and the target hears nothing of it.
			again := newEnd(t, f.dial(f.device(mac)).conn)
			again.hearsEnd()
			f.journal.wait(t, event{"event": "stream", "end": "refused", "denial_code": c.code})
			if len(p.came) > 0 {
				t.Error("a connection of it has come to the target")
			}
		})
	}
}
