package verify_test

import (
	"crypto/x509"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
)

// What has expired passes to be renewed: for a while, of those issuers alone, and
// if nothing else is wrong with its path. It proves nothing but that.
func TestAnExpiredLeafPassesToBeRenewedAlone(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mid, other := root.Intermediate("Issuing"), root.Intermediate("Other")
	oldMid := root.Intermediate("Old", testpki.Expired())
	fleet := store(t, verify.Config{}, root)
	now := time.Now()
	renewal := &verify.Renewal{Within: 90 * time.Minute, Issuers: []*x509.Certificate{mid.X509, oldMid.X509, root.X509}}
	expired := func(ca *testpki.Certificate, ago time.Duration) []*x509.Certificate {
		return ca.Client("device", testpki.Valid(now.Add(-48*time.Hour), now.Add(-ago))).Chain()
	}
	for _, c := range []struct {
		name      string
		presented []*x509.Certificate
		options   verify.Options
		code      countersign.Code
		lapsed    bool
	}{
		{"good", mid.Client("device").Chain(), verify.Options{Renewal: renewal}, "", false},
		{"expired", expired(mid, time.Hour), verify.Options{Renewal: renewal}, "", true},
		{"expired, and no renewal", expired(mid, time.Hour), verify.Options{}, countersign.ClientCertExpired, false},
		{"expired, and ignored", expired(mid, time.Hour), verify.Options{Renewal: renewal, IgnoreExpiry: true}, "", false},
		{"expired too long ago", expired(mid, 91*time.Minute), verify.Options{Renewal: renewal}, countersign.ClientCertExpired, false},
		{"of another issuer", expired(other, time.Hour), verify.Options{Renewal: renewal}, countersign.ClientCertExpired, false},
		{"of an issuer that has expired", expired(oldMid, 2*time.Minute), verify.Options{Renewal: renewal}, countersign.ClientCertExpired, false},
		{"of another purpose", mid.Server("localhost", testpki.Expired()).Chain(), verify.Options{Renewal: renewal}, countersign.ClientCertPurposeInvalid, false},
		{"not yet valid", mid.Client("device", testpki.NotYetValid()).Chain(), verify.Options{Renewal: renewal}, countersign.ClientCertNotYetValid, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Now = now
			chain, denial := fleet.Verify(c.presented, c.options)
			if code := codeOf(denial); code != c.code {
				t.Fatalf("%v, want %q", denial, c.code)
			}
			if (chain.Lapse() != nil) != c.lapsed {
				t.Fatalf("the lapse is %v", chain.Lapse())
			}
			if denial != nil {
				return
			}
			if chain.Verified() == c.lapsed || chain.StoreName() != "fleet" || len(chain.Path()) != 3 {
				t.Errorf("verified: %v, by %q, a path of %d", chain.Verified(), chain.StoreName(), len(chain.Path()))
			}
			client, denial := identify.From(chain)
			if denial != nil || client.Verified() == c.lapsed {
				t.Errorf("the client is verified: %v, %v", client.Verified(), denial)
			}
			if !c.lapsed {
				return
			}
			if want := c.presented[0].NotAfter.Add(renewal.Within); !chain.GoodUntil().Equal(want) || chain.Lapse().Code != countersign.ClientCertExpired {
				t.Errorf("good until %s, want %s; %v", chain.GoodUntil(), want, chain.Lapse())
			}
			if again, denial := fleet.Again(chain, c.options); denial != nil || again.Lapse() == nil {
				t.Errorf("asked again: %v, %v", denial, again.Lapse())
			}
			c.options.Now = chain.GoodUntil().Add(1)
			if _, denial := fleet.Again(chain, c.options); codeOf(denial) != countersign.ClientCertExpired {
				t.Errorf("asked again when it is too late: %v", denial)
			}
		})
	}
}

func codeOf(d *countersign.Denial) countersign.Code {
	if d == nil {
		return ""
	}
	return d.Code
}

func TestRenewalsAreCompared(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	one := &verify.Renewal{Within: time.Hour, Issuers: []*x509.Certificate{root.X509}}
	for _, c := range []struct {
		a, b *verify.Renewal
		same bool
	}{
		{nil, nil, true}, {one, nil, false}, {nil, one, false}, {one, one, true},
		{one, &verify.Renewal{Within: time.Hour, Issuers: []*x509.Certificate{root.X509}}, true},
		{one, &verify.Renewal{Within: time.Minute, Issuers: []*x509.Certificate{root.X509}}, false},
		{one, &verify.Renewal{Within: time.Hour}, false},
	} {
		if got := c.a.Same(c.b); got != c.same {
			t.Errorf("%v and %v are the same: %v", c.a, c.b, got)
		}
	}
}
