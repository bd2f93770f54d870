package succession_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/succession"
)

var start = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

// found makes an authority, by the clock that a test moves.
func found(t testing.TB, now *time.Time) *ca.Authority {
	t.Helper()
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "pki"), Now: func() time.Time { return *now }}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func device(t testing.TB, a *ca.Authority, name string) ca.Issued {
	t.Helper()
	issued, err := a.Issue(ca.Request{CommonName: name})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// What the first issuing authority has issued stays good, and can be revoked,
// until it ends; each signs its own list.
func TestRolloverOverlaps(t *testing.T) {
	now := start
	a := found(t, &now)
	other, err := ca.Open(ca.Config{Dir: a.Dir(), Now: func() time.Time { return now }}) // as the gateway has it open
	if err != nil {
		t.Fatal(err)
	}
	old, lost := device(t, a, "old"), device(t, a, "lost")
	// What an interrupted rollover left is in nobody's way.
	if err := os.WriteFile(a.Path("issuing-2.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := a.Rollover(t.Context(), succession.Next{Key: issuance.ECDSAP384})
	if err != nil {
		t.Fatal(err)
	}
	young := device(t, other, "young")
	if !young.Issuer.Equal(second) || young.Certificate.CheckSignatureFrom(second) != nil || old.Certificate.CheckSignatureFrom(a.Issuers()[0]) != nil {
		t.Errorf("the process that did not make it issues by %s", young.Issuer.Subject)
	}
	if _, err := other.RevokeCertificate(lost.Certificate, crl.KeyCompromise, time.Time{}); err != nil {
		t.Fatal(err)
	}
	done, err := other.Revoke(young.Certificate.SerialNumber, crl.Superseded, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []ca.Issued{lost, young} {
		list := done.Lists.Issuers[n]
		if err := list.CheckSignatureFrom(a.Issuers()[n]); err != nil {
			t.Error(err)
		}
		if e := list.RevokedCertificateEntries; len(e) != 1 || e[0].SerialNumber.Cmp(want.Certificate.SerialNumber) != 0 {
			t.Errorf("list %d has %+v", n+1, e)
		}
	}
	bundle, err := os.ReadFile(a.Path(directory.BundleFile))
	if err != nil || strings.Count(string(bundle), "BEGIN CERTIFICATE") != 3 {
		t.Errorf("%v:\n%s", err, bundle)
	}

	// The second can be revoked, by the root; then the third issues.
	if done, err = a.RevokeCertificate(second, crl.CACompromise, time.Time{}); err != nil || len(done.Lists.Root.RevokedCertificateEntries) != 1 {
		t.Fatalf("%+v, %v", done.Lists.Root, err)
	}
	if _, err := a.Issue(ca.Request{CommonName: "late"}); err == nil || !strings.Contains(err.Error(), "countersign ca rollover") {
		t.Errorf("error %v, want what to do", err)
	}
	third, err := a.Rollover(t.Context(), succession.Next{Lifetime: 2 * ca.DefaultIssuingLifetime})
	if err != nil || third.Subject.CommonName != "Fleet CA Issuing 3" {
		t.Fatalf("%v, %v", third, err)
	}
	device(t, a, "late")

	// An authority that has ended leaves the list, and its key may be destroyed.
	now = now.Add(ca.DefaultIssuingLifetime + time.Hour)
	if err := os.Remove(a.Path(directory.IssuingKeyFile)); err != nil {
		t.Fatal(err)
	}
	again, err := ca.Open(ca.Config{Dir: a.Dir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := again.CRL(0)
	if err != nil || lists.Issuers[0] != nil || lists.Issuers[1] != nil || lists.Issuing == nil {
		t.Errorf("lists %v, %v; want that of the third alone", lists.Issuers, err)
	}
	device(t, again, "later")
}
