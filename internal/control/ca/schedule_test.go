package ca

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/control/ca/succession"
)

func TestTheListIsSignedAnewAtHalfOfItsTime(t *testing.T) {
	c := &clock{t: start}
	copied := filepath.Join(t.TempDir(), "fleet.crl")
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki"), Now: c.now, CRLLifetime: 10 * time.Hour, CRLCopy: copied}})
	if err != nil {
		t.Fatal(err)
	}
	step := func(advance time.Duration, due bool) lists.Published {
		t.Helper()
		c.advance(advance)
		signed, err := a.SignIfDue(t.Context())
		if err != nil || (signed.Issuing != nil) != due {
			t.Fatalf("after %s more: signed %t, %v; want %t", advance, signed.Issuing != nil, err, due)
		}
		return signed
	}
	step(0, false)
	step(5*time.Hour-time.Second, false)
	if lists := step(time.Second, true); !lists.Issuing.NextUpdate.Equal(c.now().Add(10 * time.Hour)) {
		t.Errorf("it lasts until %s", lists.Issuing.NextUpdate)
	}
	step(time.Second, false)
	// A revocation is one as well: half of the time begins anew.
	c.advance(4 * time.Hour)
	if _, err := a.Revoke(device(t, a, "x").Certificate.SerialNumber, "", time.Time{}); err != nil {
		t.Fatal(err)
	}
	step(4*time.Hour, false)
	step(time.Hour, true)
	// A list that is not there is due.
	if err := os.Remove(a.Path(directory.CRLFile)); err != nil {
		t.Fatal(err)
	}
	if lists := step(0, true); len(lists.Issuing.RevokedCertificateEntries) != 1 {
		t.Error("what was revoked is not on it")
	}
	own, err := os.ReadFile(a.Path(directory.CRLFile))
	if err != nil {
		t.Fatal(err)
	}
	if other, err := os.ReadFile(copied); err != nil || string(other) != string(own) {
		t.Errorf("the copy has another content, %v", err)
	}
	// One that was restored from a backup is, too.
	old, err := os.ReadFile(a.Path(directory.CRLFile))
	if err != nil {
		t.Fatal(err)
	}
	step(5*time.Hour, true)
	if err := os.WriteFile(a.Path(directory.CRLFile), old, 0o600); err != nil {
		t.Fatal(err)
	}
	step(time.Minute, true)
}

// A whole directory from an older backup: the number goes on, for clients have
// seen the newer ones, and what the backup does not know of does no harm.
func TestTheNumberDoesNotGoBackWithABackup(t *testing.T) {
	a, c := found(t)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(a.Dir())); err != nil {
		t.Fatal(err)
	}
	var last int64
	for range 50 {
		c.advance(20 * time.Millisecond)
		lists, err := a.CRL(0)
		if err != nil {
			t.Fatal(err)
		}
		last = lists.Issuing.Number.Int64()
	}
	for path, mode := range map[string]os.FileMode{"": 0o700, directory.RootKeyFile: 0o600, directory.IssuingKeyFile: 0o600} {
		if err := os.Chmod(filepath.Join(backup, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	c.advance(time.Second)
	restored, err := Open(Config{Dir: backup, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := restored.CRL(0)
	if err != nil || lists.Issuing.Number.Int64() <= last {
		t.Errorf("number %v after %d, %v", lists.Issuing.Number, last, err)
	}
}

func TestOperatorsAreWarnedInTime(t *testing.T) {
	a, c := found(t)
	if notes := a.foresee(); len(notes) > 0 {
		t.Errorf("%q at the beginning", notes)
	}
	c.advance(lists.RootLifetime - 29*day)
	if notes := a.foresee(); len(notes) != 1 || !strings.Contains(notes[0], "root's revocation list ends on") {
		t.Errorf("%q, want that the root's list ends", notes)
	}
	c.advance(DefaultIssuingLifetime - lists.RootLifetime - DefaultLifetime + 30*day)
	if notes := a.foresee(); len(notes) != 2 || !strings.Contains(notes[1], "countersign ca rollover") {
		t.Errorf("%q, want that the issuing authority ends", notes)
	}
	if _, err := a.Rollover(t.Context(), succession.Next{Lifetime: DefaultIssuingLifetime}); err != nil {
		t.Fatal(err)
	}
	if notes := a.foresee(); len(notes) != 0 {
		t.Errorf("%q after a rollover, which signs the root's list too", notes)
	}
}

func TestKeepEndsWithItsContext(t *testing.T) {
	a, _ := found(t)
	if err := os.Remove(a.Path(directory.CRLFile)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	logged := make(logLines, 10)
	done := make(chan struct{})
	go func() { defer close(done); a.Keep(ctx, slog.New(slog.NewTextHandler(logged, nil))) }()
	if line := <-logged; !strings.Contains(line, "revocation lists signed") {
		t.Error(line)
	}
	cancel()
	<-done
}

type logLines chan string

func (l logLines) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

// What the first issuing authority has issued stays good, and can be revoked,
// until it ends; each signs its own list.
func TestRolloverOverlaps(t *testing.T) {
	a, c := found(t)
	other, err := Open(Config{Dir: a.Dir(), Now: c.now}) // as the gateway has it open
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
	for n, want := range []Issued{lost, young} {
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
	if _, err := a.Issue(Request{CommonName: "late"}); err == nil || !strings.Contains(err.Error(), "countersign ca rollover") {
		t.Errorf("error %v, want what to do", err)
	}
	third, err := a.Rollover(t.Context(), succession.Next{Lifetime: 2 * DefaultIssuingLifetime})
	if err != nil || third.Subject.CommonName != "Fleet CA Issuing 3" {
		t.Fatalf("%v, %v", third, err)
	}
	device(t, a, "late")

	// An authority that has ended leaves the list, and its key may be destroyed.
	c.advance(DefaultIssuingLifetime + time.Hour)
	if err := os.Remove(a.Path(directory.IssuingKeyFile)); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Config{Dir: a.Dir(), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := again.CRL(0)
	if err != nil || lists.Issuers[0] != nil || lists.Issuers[1] != nil || lists.Issuing == nil {
		t.Errorf("lists %v, %v; want that of the third alone", lists.Issuers, err)
	}
	device(t, again, "later")
}

func TestCertifyLeavesNothingForWhoHasGone(t *testing.T) {
	a, _ := found(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key, err := issuance.ECDSAP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Certify(ctx, issuance.Request{Subject: []byte("\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x"), PublicKey: key.Public()})
	if err == nil || issued.Certificate != nil {
		t.Errorf("%+v, %v; want nothing", issued, err)
	}
	for _, p := range []issuance.Profile{issuance.Root, issuance.Issuing, issuance.OCSP} {
		if _, err := a.Certify(t.Context(), issuance.Request{Profile: p, PublicKey: key.Public()}); err == nil {
			t.Errorf("a certificate of the profile %s was issued", p)
		}
	}
	if all, err := collect(a); err != nil || len(all) != 2 {
		t.Errorf("%d certificates on record, %v", len(all), err)
	}
}
