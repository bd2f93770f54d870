package ca

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/wire/dn"
)

// Two nodes have copies of one authority, and its ledger in a store.
func shared(t *testing.T) (s *store.Store, one, two *Authority, clock *clock) {
	t.Helper()
	a, clock := found(t)
	early, err := a.Issue(Request{CommonName: "early"})
	if err != nil {
		t.Fatal(err)
	}
	lost := device(t, a, "lost")
	if _, err := a.RevokeCertificate(lost.Certificate, crl.KeyCompromise, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if s, err = sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	dirs := [2]string{a.Dir(), filepath.Join(t.TempDir(), "copy")}
	if err := os.CopyFS(dirs[1], os.DirFS(dirs[0])); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{directory.IssuingKeyFile, directory.RootKeyFile} { // a copy is as open as the umask lets it be
		if err := os.Chmod(filepath.Join(dirs[1], key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dirs[1], 0o700); err != nil {
		t.Fatal(err)
	}
	var nodes [2]*Authority
	for i, dir := range dirs { // the second moves what is there already
		n, err := directory.MoveLedger(t.Context(), dir, s.Ledger("fleet"))
		if err != nil || n != 4 {
			t.Fatalf("%d certificates were moved, %v; want 4", n, err)
		}
		if _, err := Open(Config{Dir: dir}); err == nil {
			t.Error("it is opened without its ledger")
		}
		if nodes[i], err = Open(Config{Dir: dir, Ledger: s.Ledger("fleet"), Now: clock.now}); err != nil {
			t.Fatal(err)
		}
	}
	if c, ok, err := nodes[0].Status(t.Context(), serialOf(early.Certificate)); err != nil || !ok || c.DER == nil || c.Revoked() {
		t.Fatalf("what was issued before: %+v, %v", c, err)
	}
	return s, nodes[0], nodes[1], clock
}

// What one node issues and revokes is known to the other; list numbers are drawn
// once, and neither node signs because the other has, unless there is something new.
func TestNodesIssueFromOneAuthority(t *testing.T) {
	s, one, two, clock := shared(t)
	young := device(t, one, "young")
	if _, ok, err := two.Status(t.Context(), serialOf(young.Certificate)); err != nil || !ok {
		t.Fatalf("the other node does not know it: %v", err)
	}
	if _, err := two.Sign(signingRequest(t, young.Key, "another"), SignRequest{}); !ledger.KeyConflict(err) {
		t.Errorf("the key of the other node's device: %v", err)
	}
	done, err := two.Revoke(young.Certificate.SerialNumber, crl.Superseded, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := one.SignIfDue(t.Context())
	if err != nil || signed.Issuing == nil || signed.Issuing.Number.Cmp(done.Lists.Issuing.Number) <= 0 || len(signed.Issuing.RevokedCertificateEntries) != 2 {
		t.Fatalf("the node that did not revoke it signs %+v, %v", signed.Issuing, err)
	}
	for range 2 {
		for name, a := range map[string]*Authority{"one": one, "two": two} {
			if again, err := a.SignIfDue(t.Context()); err != nil || again.Issuing != nil {
				t.Errorf("%s signs although nothing is new: %v", name, err)
			}
		}
		clock.advance(time.Hour)
	}
	clock.advance(lists.DefaultLifetime / 2)
	for name, a := range map[string]*Authority{"one": one, "two": two} {
		if again, err := a.SignIfDue(t.Context()); err != nil || again.Issuing == nil {
			t.Errorf("%s does not sign when half of the time is over: %v", name, err)
		}
	}
	last, err := s.Ledger("fleet").List(t.Context())
	if err != nil || last.Number < done.Lists.Issuing.Number.Int64()+3 {
		t.Errorf("the last list is %d, %v", last.Number, err)
	}
}

// A backup of the store that is restored knows less than the lists that were
// published: their number does not go back, nor does a revocation.
func TestARestoredStoreTakesNothingBack(t *testing.T) {
	_, one, _, clock := shared(t)
	lost := device(t, one, "stolen")
	done, err := one.RevokeCertificate(lost.Certificate, crl.KeyCompromise, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	old, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "backup.db")}) // of before everything
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	clock.advance(-24 * time.Hour) // and the clock of the machine is wrong
	again, err := Open(Config{Dir: one.Dir(), Ledger: old.Ledger("fleet"), Now: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := again.CRL(0)
	if err != nil {
		t.Fatal(err)
	}
	if lists.Issuing.Number.Cmp(done.Lists.Issuing.Number) <= 0 || len(lists.Issuing.RevokedCertificateEntries) != 2 {
		t.Errorf("list %d after %d, with %d revoked; want 2", lists.Issuing.Number, done.Lists.Issuing.Number, len(lists.Issuing.RevokedCertificateEntries))
	}
	if c, ok, err := again.Status(t.Context(), serialOf(lost.Certificate)); err != nil || !ok || !c.Revoked() {
		t.Errorf("in the ledger it is %+v, %v", c, err)
	}
}

func serialOf(c *x509.Certificate) string { return dn.Serial(c.SerialNumber) }
