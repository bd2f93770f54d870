package enroll_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/naming"
)

// A certificate whose device has its id in an alternative name is found by it.
func TestCertificatesNameDevicesWhereTheirIDIsLookedFor(t *testing.T) {
	for _, c := range []struct {
		from    device.Field
		pattern string
		in      func(*x509.Certificate) string
		want    string
	}{
		{device.FromSANDNS, `^(.+)\.fleet\.example\.com$`, func(c *x509.Certificate) string { return strings.Join(c.DNSNames, ",") }, "gate7.fleet.example.com"},
		{device.FromSANURI, `^urn:dev:(.+)$`, func(c *x509.Certificate) string { return c.URIs[0].String() }, "urn:dev:gate7"},
	} {
		ids := device.IDs{From: c.from, Pattern: regexp.MustCompile(c.pattern)}
		h := newHouse(t, openSQLite(t), func(s *enroll.Settings) { s.IDs, s.Name, s.Bootstrap = ids, naming.Of(ids), "none" })
		h.registry = device.New(device.Config{Store: h.store, IDs: ids})
		h.add("gate7")
		issued := h.certificate(ids, "none")
		got := h.enroll(enroll.Request{By: h.party(issued...), Device: "gate7", CSR: csr(t, newKey(t), "")}, 200, "")
		if name := c.in(got.Chain[0]); name != c.want {
			t.Errorf("%s: named %q, want %q", c.from, name, c.want)
		}
		next := h.enroll(enroll.Request{By: h.party(got.Chain...), CSR: csr(t, newKey(t), "")}, 200, "")
		if name := c.in(next.Chain[0]); name != c.want {
			t.Errorf("%s: renewed as %q, want %q", c.from, name, c.want)
		}
	}
}

// The first use of a certificate ends its delivery, whichever use it is.
func TestTheFirstUseIsNoted(t *testing.T) {
	h := newHouse(t, openSQLite(t))
	h.add(one)
	key := newKey(t)
	got := h.enroll(h.asks(one, key, ""), 200, "")
	uses := enroll.NewFirstUse(h.desk)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(ended); uses.Run(ctx) }()
	for range 5000 { // more than wait at once
		uses.Note([32]byte{1})
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		uses.Note(sha256.Sum256(got.Chain[0].Raw))
		if e, err := h.store.Enrollments.Enrollment(t.Context(), one); err != nil || time.Now().After(deadline) {
			t.Fatalf("it is not noted: %v", err)
		} else if !e.Acknowledged.IsZero() {
			break
		}
	}
	cancel()
	<-ended
	h.enroll(h.asks(one, key, ""), 403, "EnrollmentDelivered")
}
