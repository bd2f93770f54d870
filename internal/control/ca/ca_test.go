package ca

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/wire/dn"
)

var start = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

// A clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func found(t testing.TB) (*Authority, *clock) {
	t.Helper()
	c := &clock{t: start}
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki"), Now: c.now}})
	if err != nil {
		t.Fatal(err)
	}
	return a, c
}

func collect(a *Authority) (all []ledger.Certificate, err error) {
	for c, err := range a.Certificates(context.Background()) {
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func device(t testing.TB, a *Authority, name string) Issued {
	t.Helper()
	issued, err := a.Issue(Request{CommonName: name})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestInitMakesWhatItSays(t *testing.T) {
	a, _ := found(t)
	modes := map[string]fs.FileMode{
		".": 0o700, directory.RootCertFile: 0o644, directory.RootKeyFile: 0o600, directory.IssuingCertFile: 0o644, directory.IssuingKeyFile: 0o600,
		directory.BundleFile: 0o644, directory.CRLFile: 0o644, directory.RootCRLFile: 0o644, directory.LedgerFile: 0o600, directory.LockFile: 0o600, directory.ListsLockFile: 0o600,
	}
	for name, want := range modes {
		info, err := os.Stat(a.Path(name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %v", name, info.Mode().Perm(), err, want)
		}
	}
	entries, err := os.ReadDir(a.Dir())
	if err != nil || len(entries) != len(modes)-1 {
		t.Errorf("the directory holds %v, %v; want nothing else", entries, err)
	}
	if got := a.Root().Subject.String() + " " + a.Issuing().Subject.String(); got != "CN=Fleet CA Root CN=Fleet CA Issuing" {
		t.Error(got)
	}
	if got := a.Root().NotAfter; !got.Equal(start.Add(DefaultRootLifetime)) {
		t.Errorf("the root ends on %s", got)
	}
	if got := a.Issuing().NotAfter; !got.Equal(start.Add(DefaultIssuingLifetime)) {
		t.Errorf("the issuing authority ends on %s", got)
	}
	published, err := a.Lists()
	if err != nil {
		t.Fatal(err)
	}
	if published.Issuing.Number.Int64() != start.UnixMilli() || !published.Issuing.NextUpdate.Equal(start.Add(lists.DefaultLifetime)) {
		t.Errorf("list %s until %s", published.Issuing.Number, published.Issuing.NextUpdate)
	}
}

func TestIssueIsOnRecordBeforeItIsHandedOut(t *testing.T) {
	a, _ := found(t)
	issued := device(t, a, "MacID-AA:BB:CC:DD:EE:FF")
	again, err := Open(Config{Dir: a.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	all, err := collect(again)
	if err != nil || len(all) != 3 {
		t.Fatalf("%d certificates, %v; want root, issuing, device", len(all), err)
	}
	got := all[2]
	if got.Subject != "CN=MacID-AA:BB:CC:DD:EE:FF" || got.Profile != "device" || !got.NotAfter.Equal(start.Add(DefaultLifetime)) {
		t.Errorf("%+v", got)
	}
	if kept, known, err := again.Status(t.Context(), got.Serial); err != nil || !known || !bytes.Equal(kept.DER, issued.Certificate.Raw) {
		t.Errorf("%s on record is another certificate, %v", got.Serial, err)
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: start,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	opts.Roots.AddCert(a.Root())
	opts.Intermediates.AddCert(a.Issuing())
	if _, err := issued.Certificate.Verify(opts); err != nil {
		t.Error(err)
	}
}

func TestIssueRefuses(t *testing.T) {
	a, clock := found(t)
	for _, tc := range []struct {
		r    Request
		want string
	}{
		{Request{}, "needs a common name"},
		{Request{CommonName: "a", Subject: "CN=b"}, "expected one of them"},
		{Request{Subject: "b"}, `subject "b"`},
		{Request{CommonName: "a", Profile: issuance.Root}, "not for end entities"},
		{Request{CommonName: "a", Profile: "x"}, `profile "x"`},
		{Request{CommonName: "a", Profile: issuance.Server}, "--san dns:NAME"},
		{Request{CommonName: "a", Names: []string{"localhost"}}, "dns:localhost"},
		{Request{CommonName: "a", Key: "x"}, `key type "x"`},
		{Request{CommonName: "a", Lifetime: -time.Second}, "lifetime is -1s"},
		{Request{CommonName: "Fleet CA Issuing"}, "authority's own name"},
	} {
		if issued, err := a.Issue(tc.r); err == nil || !strings.Contains(err.Error(), tc.want) || issued.Key != nil || issued.Certificate != nil {
			t.Errorf("%+v: error %v, want %q and nothing else", tc.r, err, tc.want)
		}
	}
	clock.advance(DefaultIssuingLifetime)
	if _, err := a.Issue(Request{CommonName: "a"}); err == nil || !strings.Contains(err.Error(), "expired on") {
		t.Errorf("error %v, want that the authority expired", err)
	}
	if _, err := a.CRL(0); err == nil || !strings.Contains(err.Error(), "expired on") {
		t.Errorf("error %v, want that the authority expired", err)
	}
	all, err := collect(a)
	if err != nil || len(all) != 2 {
		t.Errorf("%d certificates on record, %v; want only root and issuing", len(all), err)
	}
}

func TestALifetimeIsShortenedWithANote(t *testing.T) {
	a, _ := found(t)
	issued, err := a.Issue(Request{CommonName: "a", Lifetime: DefaultIssuingLifetime + time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if !issued.Certificate.NotAfter.Equal(a.Issuing().NotAfter) || len(issued.Notes) != 1 || !strings.Contains(issued.Notes[0], "2036-11-19") {
		t.Errorf("ends %s, notes %q", issued.Certificate.NotAfter, issued.Notes)
	}
}

func TestASerialNumberIsNeverUsedTwice(t *testing.T) {
	a, err := Init(Founding{Config: Config{Dir: filepath.Join(t.TempDir(), "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	broken, err := Open(Config{Dir: a.Dir(), Rand: strings.NewReader(strings.Repeat("x", 1000))})
	if err != nil {
		t.Fatal(err)
	}
	device(t, broken, "first")
	if _, err := broken.Issue(Request{CommonName: "second"}); err == nil || !strings.Contains(err.Error(), "drawn a second time") {
		t.Errorf("error %v, want that the serial was drawn twice", err)
	}
}

func TestRevocation(t *testing.T) {
	a, clock := found(t)
	one, two, three := device(t, a, "one"), device(t, a, "two"), device(t, a, "three")
	clock.advance(time.Hour)
	done, err := a.Revoke(one.Certificate.SerialNumber, crl.KeyCompromise, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if done.Already || done.Certificate.Subject != "CN=one" || !done.Certificate.RevokedAt.Equal(start.Add(time.Hour)) {
		t.Errorf("%+v", done.Certificate)
	}
	if _, err := a.RevokeCertificate(two.Certificate, "", start.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Hour)
	if done, err = a.RevokeCertificate(one.Certificate, crl.Superseded, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if !done.Already || done.Certificate.Reason != string(crl.KeyCompromise) || !done.Certificate.RevokedAt.Equal(start.Add(time.Hour)) {
		t.Errorf("the second revocation changed the first: %+v", done)
	}
	lists, err := a.Lists()
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		Serial string
		At     time.Time
		Code   int
	}
	var got []entry
	for _, e := range lists.Issuing.RevokedCertificateEntries {
		got = append(got, entry{dn.Serial(e.SerialNumber), e.RevocationTime, e.ReasonCode})
	}
	want := []entry{
		{dn.Serial(one.Certificate.SerialNumber), start.Add(time.Hour), 1},
		{dn.Serial(two.Certificate.SerialNumber), start.Add(time.Minute), 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(lists.Root.RevokedCertificateEntries) != 0 || lists.Issuing.Number.Int64() != clock.now().UnixMilli() {
		t.Errorf("the root lists %d, number %s", len(lists.Root.RevokedCertificateEntries), lists.Issuing.Number)
	}

	other, _ := found(t)
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"an unknown serial", second(a.Revoke(big.NewInt(0x1234), "", time.Time{})), "no certificate with serial 1234"},
		{"another authority's", second(a.RevokeCertificate(device(t, other, "x").Certificate, "", time.Time{})), "was not issued by this authority"},
		{"the root", second(a.RevokeCertificate(a.Root(), "", time.Time{})), "take " + a.Path(directory.BundleFile)},
		{"the root's serial", second(a.Revoke(a.Root().SerialNumber, "", time.Time{})), "take " + a.Path(directory.BundleFile)},
		{"tomorrow", second(a.Revoke(three.Certificate.SerialNumber, "", clock.now().Add(time.Hour))), "in the future"},
		{"a strange reason", second(a.Revoke(three.Certificate.SerialNumber, "stolen", time.Time{})), `reason "stolen"`},
	} {
		if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, tc.err, tc.want)
		}
	}
	if again, err := a.Lists(); err != nil || again.Issuing.Number.Cmp(lists.Issuing.Number) != 0 {
		t.Errorf("a refused revocation signed a list: %v, %v", again.Issuing.Number, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestARevokedIssuingAuthorityIsOnTheRootsListAndSignsNoMore(t *testing.T) {
	a, _ := found(t)
	done, err := a.RevokeCertificate(a.Issuing(), crl.CACompromise, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(done.Lists.Issuing.RevokedCertificateEntries); n != 0 {
		t.Errorf("its own list has %d entries", n)
	}
	if e := done.Lists.Root.RevokedCertificateEntries; len(e) != 1 || e[0].SerialNumber.Cmp(a.Issuing().SerialNumber) != 0 || e[0].ReasonCode != 2 {
		t.Errorf("the root's list has %+v", e)
	}
	if _, err := a.Issue(Request{CommonName: "late"}); err == nil || !strings.Contains(err.Error(), "was revoked on") {
		t.Errorf("error %v, want that the authority was revoked", err)
	}
}

func TestTheRootsKeyMayBeElsewhere(t *testing.T) {
	a, _ := found(t)
	if err := os.Remove(a.Path(directory.RootKeyFile)); err != nil {
		t.Fatal(err)
	}
	a, err := Open(Config{Dir: a.Dir(), Now: a.dir.Now})
	if err != nil {
		t.Fatal(err)
	}
	if a.HasRootKey() {
		t.Error("the key is said to be there")
	}
	done, err := a.Revoke(device(t, a, "x").Certificate.SerialNumber, "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if first := start.UnixMilli(); done.Lists.Issuing.Number.Int64() != first+1 || done.Lists.Root.Number.Int64() != first || len(done.Lists.Notes) != 1 {
		t.Errorf("lists %s and %s, notes %q", done.Lists.Issuing.Number, done.Lists.Root.Number, done.Lists.Notes)
	}
}

func TestSave(t *testing.T) {
	a, _ := found(t)
	issued := device(t, a, "MacID-AA:BB:CC:DD:EE:FF")
	dir := filepath.Join(t.TempDir(), "out")
	files := FilesFor(dir, "MacID-AA:BB:CC:DD:EE:FF")
	if files.Certificate != filepath.Join(dir, "MacID-AA-BB-CC-DD-EE-FF.crt") {
		t.Error(files.Certificate)
	}
	if err := files.Vacant(); err != nil {
		t.Fatal(err)
	}
	if err := issued.Save(files); err != nil {
		t.Fatal(err)
	}
	if pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key); err != nil || len(pair.Certificate) != 2 {
		t.Errorf("%d certificates, %v; want leaf and issuing", len(pair.Certificate), err)
	}
	if info, _ := os.Stat(files.Key); info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v", info.Mode().Perm())
	}
	if err := files.Vacant(); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("error %v, want that the file exists", err)
	}
	// The certificate's name taken, the key's free: nothing of the second stays.
	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	if err := issued.Save(files); !errors.Is(err, fs.ErrExist) {
		t.Errorf("error %v, want ErrExist", err)
	}
	if _, err := os.Stat(files.Key); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a key without its certificate was left behind")
	}
	if _, err := (Issued{}).KeyPEM(); err == nil {
		t.Error("a key that nobody has was encoded")
	}
	for name, want := range map[string]string{
		"../../etc/passwd": "_etc-passwd", "..": "_", ".hidden": "_hidden", "-rf": "_rf", "a b": "a-b", "ops@example.com": "ops@example.com",
		"gerät\x00\n7": "ger-t--7", "*.example.com": "_example.com",
	} {
		if got := filepath.Base(FilesFor("", name).Certificate); got != want+".crt" {
			t.Errorf("%q is saved as %s, want %s.crt", name, got, want)
		}
	}
}

// Eight callers, each with its own Authority as if in its own process.
func TestConcurrentUse(t *testing.T) {
	a, _ := found(t)
	const callers, each = 8, 6
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() {
			b, err := Open(Config{Dir: a.Dir(), Now: a.dir.Now})
			if err != nil {
				t.Error(err)
				return
			}
			for m := range each {
				issued, err := b.Issue(Request{CommonName: fmt.Sprintf("device %d of %d", m, n)})
				if err != nil {
					t.Error(err)
					return
				}
				if m%2 == 0 {
					if _, err := b.RevokeCertificate(issued.Certificate, "", time.Time{}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	all, err := collect(a)
	if err != nil || len(all) != 2+callers*each {
		t.Errorf("%d certificates, %v; want %d", len(all), err, 2+callers*each)
	}
	lists, err := a.Lists()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(lists.Issuing.RevokedCertificateEntries), callers*each/2; got != want {
		t.Errorf("%d revoked, want %d", got, want)
	}
	data, err := os.ReadFile(a.Path(directory.CRLFile))
	if block, rest := pem.Decode(data); err != nil || block == nil || len(rest) > 0 {
		t.Errorf("crl.pem is not one PEM block, %v", err)
	}
}
