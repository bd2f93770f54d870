package ca

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/succession"
	"countersign.dev/internal/traffic/verify"
)

// A root is replaced, and whoever has one of the two believes what either has issued,
// as openssl does; the gateway has both.
func TestARootIsSucceededWithOverlap(t *testing.T) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "old")}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Rollover(t.Context(), succession.Next{}); err != nil {
		t.Fatal(err)
	}
	f := Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "new")}}
	next, err := a.Succeed(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if got := next.Issuing().Subject.CommonName; got != "Fleet CA Issuing 3" {
		t.Errorf("the issuing authority is called %q", got)
	}
	if fourth, err := next.Rollover(t.Context(), succession.Next{}); err != nil || fourth.Subject.CommonName != "Fleet CA Issuing 4" {
		t.Errorf("the next one is %v, %v", fourth, err)
	}
	read := func(dir *Authority, file string) *x509.Certificate {
		t.Helper()
		c, err := pemfile.ReadCertificate(dir.Path(file))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	newWithOld, oldWithNew := read(next, directory.NewWithOldFile), read(a, directory.OldWithNewFile)
	old, young := device(t, a, "old"), device(t, next, "young")
	for _, c := range []struct {
		name   string
		leaf   Issued
		anchor *x509.Certificate
		cross  *x509.Certificate
	}{
		{"an old client, who has the old root", old, a.Root(), nil},
		{"a new client, who has the new root", young, next.Root(), nil},
		{"a new client, who has the old root", young, a.Root(), newWithOld},
		{"an old client, who has the new root", old, next.Root(), oldWithNew},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := []*x509.Certificate{c.leaf.Certificate, c.leaf.Issuer}
			if c.cross != nil {
				chain = append(chain, c.cross)
			}
			// crypto/x509 counts self-issued authorities as others (RFC 5280 section 4.2.1.9
			// does not), so that a trust store has both roots.
			store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{a.Root(), next.Root()}})
			if err != nil {
				t.Fatal(err)
			}
			if _, denial := store.Verify(chain, verify.Options{}); denial != nil {
				t.Error(denial)
			}
			dir := t.TempDir()
			anchor, untrusted, leaf := filepath.Join(dir, "anchor"), filepath.Join(dir, "untrusted"), filepath.Join(dir, "leaf")
			for path, certificates := range map[string][]*x509.Certificate{anchor: {c.anchor}, untrusted: chain[1:], leaf: chain[:1]} {
				if err := os.WriteFile(path, pemfile.EncodeCertificates(certificates...), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			newOracle(t).run("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", anchor, "-untrusted", untrusted, leaf)
		})
	}

	// Done again, it certifies nothing anew; what is missing is made.
	if err := os.Remove(a.Path(directory.OldWithNewFile)); err != nil {
		t.Fatal(err)
	}
	again, err := a.Succeed(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !read(a, directory.NewWithOldFile).Equal(newWithOld) || !read(a, directory.OldWithNewFile).Equal(oldWithNew) || !again.Root().Equal(next.Root()) {
		t.Error("the roots certify each other anew")
	}
	roots, err := again.Roots()
	if err != nil || len(roots) != 4 || !roots[0].Equal(next.Root()) || !roots[1].Equal(a.Root()) {
		t.Errorf("%d roots are published, %v", len(roots), err)
	}

	// Each can be withdrawn by who has said it.
	done, err := a.RevokeCertificate(newWithOld, "superseded", time.Time{})
	if err != nil || len(done.Lists.Root.RevokedCertificateEntries) != 1 {
		t.Errorf("what the old root says of the new one is revoked: %+v, %v", done.Lists.Root, err)
	}
	if _, err := a.Succeed(t.Context(), Founding{Config: Config{Dir: a.Dir()}}); err == nil {
		t.Error("an authority succeeds itself")
	}
	other, err := Init(Founding{Name: "Other", Config: Config{Dir: filepath.Join(t.TempDir(), "other")}})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := a.Succeed(t.Context(), Founding{Config: Config{Dir: other.Dir()}}); err == nil {
		t.Error("an authority of another name is a successor")
	}
}
