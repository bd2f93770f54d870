package ca

import (
	"crypto/x509"
	"os"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// The gateway's strictest trust store takes the files as they are: every
// authority of the chain must have a list.
func TestTheGatewayTakesTheFiles(t *testing.T) {
	a, clock := found(t)
	store := func() *verify.Store {
		t.Helper()
		bundle, err := os.ReadFile(a.Path(directory.BundleFile))
		if err != nil {
			t.Fatal(err)
		}
		anchors, problems := verify.LoadBundle(directory.BundleFile, bundle, verify.Limits{})
		if len(problems) > 0 || len(anchors) != 2 {
			t.Fatalf("%d anchors, problems %v", len(anchors), problems)
		}
		var lists []*crl.List
		for _, file := range []string{directory.CRLFile, directory.RootCRLFile} {
			data, err := os.ReadFile(a.Path(file))
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := crl.Parse(file, data)
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, parsed...)
		}
		s, err := verify.New(verify.Config{
			Name: "fleet", Anchors: anchors, Now: clock.now,
			Revocation: revocation.Config{Lists: lists, Scope: revocation.ScopeChain, Missing: revocation.Refuse},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	dev := device(t, a, "MacID-AA:BB:CC:DD:EE:FF")
	server, err := a.Issue(Request{Profile: issuance.Server, CommonName: "gateway", Names: []string{"dns:localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(s *verify.Store, issued Issued, want countersign.Code) {
		t.Helper()
		chain, denial := s.Verify([]*x509.Certificate{issued.Certificate, issued.Issuer}, verify.Options{Now: clock.now()})
		switch {
		case want == "" && (denial != nil || !chain.Verified()):
			t.Errorf("%s: %v, want it verified", issued.Certificate.Subject, denial)
		case want != "" && (denial == nil || denial.Code != want):
			t.Errorf("%s: %v, want %s", issued.Certificate.Subject, denial, want)
		}
	}
	before := store()
	expect(before, dev, "")
	expect(before, server, countersign.ClientCertPurposeInvalid)
	if _, err := a.Revoke(dev.Certificate.SerialNumber, "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	after := store()
	expect(after, dev, countersign.ClientCertCrlHit)
	expect(after, device(t, a, "MacID-AA:BB:CC:DD:EE:00"), "")
	if before.Generation() == after.Generation() {
		t.Error("a new list is no new generation of the trust store")
	}
}
