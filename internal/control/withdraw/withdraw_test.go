package withdraw

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/wire/dn"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var by = countersign.TrailEntry{Who: "operator ann", What: "test", Why: "because", At: time.UnixMilli(1_700_000_000_000)}

// A rig is a registry, an authority, and what follows the one for the other.
type rig struct {
	t         *testing.T
	store     *store.Store
	authority *ca.Authority
	place     string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &rig{t, s, newAuthority(t), filepath.Join(dir, "withdrawn")}
}

func newAuthority(t *testing.T) *ca.Authority {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: dir}, Name: "Fleet CA"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// device registers a device with a certificate.
func (r *rig) device(id string) *x509.Certificate {
	r.t.Helper()
	issued, err := r.authority.Issue(ca.Request{CommonName: id})
	if err != nil {
		r.t.Fatal(err)
	}
	c := issued.Certificate
	if err := r.store.Devices.Create(r.t.Context(), countersign.Device{ID: id, State: countersign.DeviceActive, Created: by.At}, by); err != nil {
		r.t.Fatal(err)
	}
	err = r.store.Credentials.Add(r.t.Context(), countersign.Credential{
		Device: id, Serial: dn.Serial(c.SerialNumber), Fingerprint: sha256.Sum256(c.Raw), Issuer: c.Issuer.String(),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: countersign.CredentialValid, Added: by.At,
	}, by)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) cutOff(id string, state countersign.State) {
	r.t.Helper()
	_, err := r.store.Devices.Update(r.t.Context(), id, func(d *store.Draft) error {
		d.Device.State, d.Entry, d.EndCredentials = state, by, true
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// follow follows until the returned function is called.
func (r *rig) follow(authorities ...Authority) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var following sync.WaitGroup
	following.Go(func() {
		Follow(ctx, Config{Devices: r.store.Devices, Credentials: r.store.Credentials, Changes: r.store.Changes,
			Authorities: func() []Authority { return authorities }, Place: r.place, Gather: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	})
	return func() { cancel(); following.Wait() }
}

func (r *rig) status(c *x509.Certificate) ledger.Certificate {
	r.t.Helper()
	got, ok, err := r.authority.Status(r.t.Context(), dn.Serial(c.SerialNumber))
	if err != nil || !ok {
		r.t.Fatalf("%v, %v", ok, err)
	}
	return got
}

// listed waits until a certificate is on the authority's list.
func (r *rig) listed(c *x509.Certificate) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		lists, err := r.authority.Lists()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, list := range lists.Issuers {
			for _, e := range list.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return
				}
			}
		}
		if time.Now().After(end) {
			r.t.Fatal("it is not on the list")
		}
	}
}

func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal(what)
		}
	}
}

func TestWhoIsCutOffIsOnTheList(t *testing.T) {
	r := newRig(t)
	one, two, other := r.device("one"), r.device("two"), r.device("other")
	defer r.follow(newAuthority(t), r.authority)() // the first has issued nothing of it
	r.cutOff("one", countersign.DeviceRevoked)
	r.listed(one)
	r.cutOff("two", countersign.DeviceRetired)
	r.listed(two)
	if got := r.status(one).Reason; got != "privilegeWithdrawn" {
		t.Errorf("reason of a revoked device: %s", got)
	}
	if got := r.status(two).Reason; got != "cessationOfOperation" {
		t.Errorf("reason of a retired device: %s", got)
	}
	if r.status(other).Revoked() {
		t.Error("a certificate of another device is revoked")
	}
}

func TestWhatWasCutOffMeanwhileIsNotForgotten(t *testing.T) {
	r := newRig(t)
	before, meanwhile := r.device("before"), r.device("meanwhile")
	r.cutOff("before", countersign.DeviceRevoked) // before anything was followed
	stop := r.follow(r.authority)
	r.listed(before)
	r.until("the place is not kept", func() bool { _, err := os.Stat(r.place); return err == nil })
	stop()

	r.cutOff("meanwhile", countersign.DeviceRevoked)
	if _, err := r.store.Devices.Update(t.Context(), "meanwhile", func(d *store.Draft) error {
		d.Device.State, d.Entry = countersign.DeviceReady, by // it may come again, with another certificate
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	defer r.follow(r.authority)()
	r.listed(meanwhile)
}

func TestALostPlaceHasEverythingLookedAt(t *testing.T) {
	r := newRig(t)
	one := r.device("one")
	defer r.follow()() // no authority: nothing is done, and no place kept
	r.cutOff("one", countersign.DeviceRevoked)
	if err := r.store.Changes.Prune(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.place, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer r.follow(r.authority)()
	r.listed(one)
}

// broken signs nothing the first time: the record is there, the list is not.
type broken struct {
	*ca.Authority
	failures int
}

func (b *broken) CRL(lifetime time.Duration) (lists.Published, error) {
	if b.failures++; b.failures == 1 {
		return lists.Published{}, os.ErrPermission
	}
	return b.Authority.CRL(lifetime)
}

func TestAListThatWasNotSignedKeepsThePlace(t *testing.T) {
	r := newRig(t)
	r.device("one")
	f := &follower{Config: Config{Devices: r.store.Devices, Credentials: r.store.Credentials, Changes: r.store.Changes,
		Place: r.place, Gather: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}}
	b := &broken{Authority: r.authority}
	f.Authorities = func() []Authority { return []Authority{b} }
	if err := f.step(t.Context()); err == nil {
		t.Fatal("nothing failed")
	}
	if _, err := os.Stat(r.place); err == nil {
		t.Error("the place is kept behind what was not done")
	}
	if err := f.step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.place); err != nil {
		t.Error(err)
	}
}
