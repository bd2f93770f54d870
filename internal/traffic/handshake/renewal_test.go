package handshake

import (
	"crypto/x509"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

// A certificate that may be renewed after its end is let in, by this policy, and
// each time by a handshake that proves its key.
func TestWhoRenewsAnExpiredCertificateProvesItsKeyEachTime(t *testing.T) {
	w := newWorld(t)
	fleet := store(t, "fleet", verify.Config{}, w.root)
	mid := w.root.Intermediate("Issuing")
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	device := mid.Client("device", testpki.Valid(ends.Add(-48*time.Hour), ends))
	renewal := &verify.Renewal{Within: 24 * time.Hour, Issuers: []*x509.Certificate{mid.X509}}
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		for _, failure := range []countersign.OnFailure{"", countersign.OnFailureRespond} {
			now := &clock{}
			keys := NewTicketKeys(TicketKeysConfig{Lifetime: 72 * time.Hour, Now: now.Now})
			renews := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Keys: keys, Now: now.Now,
				Policies: policies(t, &Policy{Name: "renews", Mode: "verify", Resumption: true, Store: fleet, OnFailure: failure, Renewal: renewal})}))
			p.session = nil
			out := renews.meets(p.on(w.client("api.example.com", device), v), false, "")
			if !out.Chain.Verified() {
				t.Fatal("a certificate that is good is not verified")
			}
			// The session of before the end is not gone on with.
			now.Advance(2 * time.Hour)
			for range 2 {
				out = renews.meets(p.on(w.client("api.example.com", device), v), false, "")
				if out.Chain.Verified() || out.Chain.Lapse() == nil {
					t.Errorf("verified: %v, the lapse is %v", out.Chain.Verified(), out.Chain.Lapse())
				}
			}
			now.Advance(24 * time.Hour)
			renews.meets(p.on(w.client("api.example.com", device), v), false, countersign.ClientCertExpired)
		}
		// At another listener with the same trust store it has expired.
		now := &clock{}
		now.Advance(2 * time.Hour)
		strict := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Now: now.Now,
			Policies: policies(t, &Policy{Name: "strict", Mode: "verify", Store: fleet})}))
		strict.meets(at(w.client("api.example.com", device), v), false, countersign.ClientCertExpired)
	})
}

// A connection was made by a certificate that was good: it does not go on as one
// that may renew.
func TestAConnectionEndsWithItsCertificateAlthoughThatMayBeRenewed(t *testing.T) {
	w := newWorld(t)
	mid := w.root.Intermediate("Issuing")
	ends := time.Now().Add(time.Hour).Truncate(time.Second)
	device := mid.Client("device", testpki.Valid(ends.Add(-time.Hour), ends))
	p := &Policy{Name: "renews", Mode: "verify", Store: store(t, "fleet", verify.Config{}, w.root),
		Renewal: &verify.Renewal{Within: time.Hour, Issuers: []*x509.Certificate{mid.X509}}}
	chain, denial := p.Admit(device.Chain(), ends, nil)
	if denial != nil {
		t.Fatal(denial)
	}
	out := Outcome{Chain: chain}
	if denial := out.Again(p, ends.Add(time.Minute)); code(denial) != countersign.ClientCertExpired || !out.Chain.IsZero() || out.Presented == nil {
		t.Errorf("asked again: %v", denial)
	}
	late := Outcome{}
	if late.Chain, denial = p.Admit(device.Chain(), ends.Add(time.Minute), nil); denial != nil {
		t.Fatal(denial)
	}
	late.Rest()
	if denial := late.Again(p, ends.Add(time.Hour)); denial != nil || late.Chain.Lapse() == nil {
		t.Errorf("one that came to renew: %v", denial)
	}
	if denial := late.Again(p, ends.Add(time.Hour+time.Second)); code(denial) != countersign.ClientCertExpired {
		t.Errorf("when it is too late: %v", denial)
	}
}
