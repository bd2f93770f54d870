package lists_test

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/lists"
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

func TestTheListKeepsItsLifetimeAndItsNumberNeverGoesBack(t *testing.T) {
	now := start
	a := found(t, &now)
	last := int64(1)
	step := func(published lists.Published, err error, lifetime time.Duration) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []*x509.RevocationList{published.Issuing, published.Root} {
			if n := l.Number.Int64(); n <= last {
				t.Errorf("number %d after %d", n, last)
			}
		}
		last = published.Issuing.Number.Int64()
		if !published.Issuing.ThisUpdate.Equal(now.Add(-5*time.Minute)) || !published.Issuing.NextUpdate.Equal(now.Add(lifetime)) {
			t.Errorf("from %s until %s, want from 5m ago for %s from now", published.Issuing.ThisUpdate, published.Issuing.NextUpdate, lifetime)
		}
		if !published.Root.NextUpdate.Equal(now.Add(lists.RootLifetime)) {
			t.Errorf("the root's ends %s", published.Root.NextUpdate)
		}
	}
	published, err := a.CRL(0)
	step(published, err, lists.DefaultLifetime)
	published, err = a.CRL(10 * 24 * time.Hour)
	step(published, err, 10*24*time.Hour)
	now = now.Add(time.Hour)
	done, err := a.Revoke(device(t, a, "x").Certificate.SerialNumber, "", time.Time{})
	step(done.Lists, err, 10*24*time.Hour)
	if _, err := a.CRL(time.Second); err == nil {
		t.Error("a list for a second was signed")
	}

	// The ledger from before: number and revocation are still on the list.
	old, err := ca.Open(ca.Config{Dir: a.Dir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(a.Path(directory.LedgerFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	if err := os.WriteFile(a.Path(directory.LedgerFile), []byte(strings.Join(lines[:3], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	published, err = old.CRL(10 * 24 * time.Hour)
	step(published, err, 10*24*time.Hour)
	if n := len(published.Issuing.RevokedCertificateEntries); n != 1 {
		t.Errorf("%d revoked after an older ledger was restored, want 1", n)
	}

	// A list near the authority's end does not outlive it.
	now = now.Add(ca.DefaultIssuingLifetime - 3*time.Hour)
	if published, err = a.CRL(10 * 24 * time.Hour); err != nil || !published.Issuing.NextUpdate.Equal(a.Issuing().NotAfter) {
		t.Errorf("the last list ends %s, %v; want %s", published.Issuing.NextUpdate, err, a.Issuing().NotAfter)
	}
}

func TestADamagedListIsNotOverwritten(t *testing.T) {
	now := start
	a := found(t, &now)
	if err := os.WriteFile(a.Path(directory.CRLFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.CRL(0); err == nil || !strings.Contains(err.Error(), "crl.pem is damaged") {
		t.Errorf("error %v, want that the list is damaged", err)
	}
	if err := os.Remove(a.Path(directory.CRLFile)); err != nil {
		t.Fatal(err)
	}
	if lists, err := a.CRL(0); err != nil || lists.Issuing.Number.Int64() <= start.UnixMilli() {
		t.Errorf("list %v, %v; want a number that follows", lists.Issuing, err)
	}
}

func TestTheListIsSignedAnewAtHalfOfItsTime(t *testing.T) {
	now := start
	copied := filepath.Join(t.TempDir(), "fleet.crl")
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "pki"), Now: func() time.Time { return now }, CRLLifetime: 10 * time.Hour, CRLCopy: copied}})
	if err != nil {
		t.Fatal(err)
	}
	step := func(advance time.Duration, due bool) lists.Published {
		t.Helper()
		now = now.Add(advance)
		signed, err := a.SignIfDue(t.Context())
		if err != nil || (signed.Issuing != nil) != due {
			t.Fatalf("after %s more: signed %t, %v; want %t", advance, signed.Issuing != nil, err, due)
		}
		return signed
	}
	step(0, false)
	step(5*time.Hour-time.Second, false)
	if lists := step(time.Second, true); !lists.Issuing.NextUpdate.Equal(now.Add(10 * time.Hour)) {
		t.Errorf("it lasts until %s", lists.Issuing.NextUpdate)
	}
	step(time.Second, false)
	// A revocation is one as well: half of the time begins anew.
	now = now.Add(4 * time.Hour)
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
	now := start
	a := found(t, &now)
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(a.Dir())); err != nil {
		t.Fatal(err)
	}
	var last int64
	for range 50 {
		now = now.Add(20 * time.Millisecond)
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
	now = now.Add(time.Second)
	restored, err := ca.Open(ca.Config{Dir: backup, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := restored.CRL(0)
	if err != nil || lists.Issuing.Number.Int64() <= last {
		t.Errorf("number %v after %d, %v", lists.Issuing.Number, last, err)
	}
}

// A list that lasts for less than the configuration has it, by hand or from before,
// is renewed at half of its own time; one that lasts for longer, at half of the
// configured one.
func TestAListIsDueByItsOwnTime(t *testing.T) {
	const configured = 24 * time.Hour
	for lasts, due := range map[time.Duration]time.Duration{
		4 * time.Minute: 2 * time.Minute, configured: 12 * time.Hour, 10 * configured: 12 * time.Hour,
	} {
		now := start
		a := found(t, &now)
		if _, err := a.CRL(lasts); err != nil {
			t.Fatal(err)
		}
		a, err := ca.Open(ca.Config{Dir: a.Dir(), Now: func() time.Time { return now }, CRLLifetime: configured})
		if err != nil {
			t.Fatal(err)
		}
		signs := func(at time.Duration, want bool) {
			t.Helper()
			now = start.Add(at)
			if signed, err := a.SignIfDue(t.Context()); err != nil || (signed.Issuing != nil) != want {
				t.Errorf("a list for %s after %s: signs %t, %v, want %t", lasts, at, signed.Issuing != nil, err, want)
			} else if want && !signed.Issuing.NextUpdate.Equal(now.Add(configured)) {
				t.Errorf("the next list lasts until %s", signed.Issuing.NextUpdate)
			}
		}
		signs(due-time.Second, false)
		signs(due, true)
	}
}
