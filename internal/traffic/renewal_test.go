package traffic_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
)

var renewing = with(deviceConfig, `  bootstrap: "00:00:00:00:00:00"`, `  bootstrap: "00:00:00:00:00:00"
  initialize: {}
  authority: fleet
authorities: [{name: fleet, dir: pki, renew_after_expiry: 1h}]`)

// startRenewal is a fleet with the certificates of an authority below its root.
func startRenewal(t *testing.T) (*fleet, *testpki.Certificate) {
	t.Helper()
	f := startFleet(t, deviceConfig)
	issuing := f.root.Intermediate("Fleet Issuing")
	if err := os.Mkdir(filepath.Join(f.dir, "pki"), 0o700); err != nil {
		t.Fatal(err)
	}
	f.file("pki/root.crt", f.root.PEM())
	f.file("pki/issuing.crt", issuing.PEM())
	f.publish(renewing)
	return f, issuing
}

// A certificate may be renewed after its end: what rests on it ends all the same,
// and whoever comes with it is known, and refused everything.
func TestWhatMayBeRenewedIsServedNoLongerThanItLasts(t *testing.T) {
	t.Parallel()
	f, issuing := startRenewal(t)
	f.add(mac, countersign.DeviceActive)
	ends := soon()
	device := issuing.Client("MacID-"+mac, testpki.Valid(ends.Add(-time.Hour), ends))
	one, two := f.dial(device), f.dial2(device)
	one.get().served(t)
	two.get().served(t)
	f.expelledAt(one, ends, "ClientCertExpired")
	two.ended()

	one, two = f.dial(device), f.dial2(device)
	one.get().refused(t, 403, "ClientCertExpired")
	one.get().refused(t, 403, "ClientCertExpired") // on a connection that goes on
	two.get().refused(t, 403, "ClientCertExpired")
	f.journal.wait(t, event{"event": "connection", "tls_verify_status": "Failed:ClientCertExpired", "denial_code": "ClientCertExpired"})
	f.journal.wait(t, event{"event": "access", "denial_code": "ClientCertExpired", "elb_status_code": float64(403)})

	// Whoever came to renew loses the connection with the leave to, and with the device.
	f.publish(with(renewing, "renew_after_expiry: 1h", "lifetime: 1h"))
	f.expelled(one, "ClientCertExpired")
	two.ended()
	f.shut(device)
	f.publish(renewing)
	one = f.dial(device)
	one.get().refused(t, 403, "ClientCertExpired")
	f.do("suspend", mac)
	f.expelled(one, "DeviceSuspended")
}

// shut demands that the handshake is refused.
func (f *fleet) shut(cert *testpki.Certificate) {
	f.t.Helper()
	if c, err := f.try(cert, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }); err == nil {
		c.conn.Close()
		f.t.Error("the client is let in")
	}
}

// Nobody else has anything of it: neither another issuer's clients, nor who comes too
// late, nor a listener that is not about devices.
func TestWhatMayBeRenewedHasExpiredElsewhere(t *testing.T) {
	t.Parallel()
	f, issuing := startRenewal(t)
	device := issuing.Client("MacID-"+mac, testpki.Expired())
	f.shut(device) // it expired an hour ago
	device = issuing.Client("MacID-"+mac, testpki.Valid(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)))
	f.answers(device, 403, "ClientCertExpired")
	f.shut(f.root.Intermediate("Another").Client("MacID-"+mac, testpki.Valid(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute))))
	f.publish(with(renewing, "devices: enforce", "devices: off"))
	f.shut(device)
}
