package enroll_test

import (
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
)

const renewable = 10 * 24 * time.Hour

// A sleeper has devices that got their certificates two days ago, for one day.
type sleeper struct {
	*house
	early *enroll.Desk // that of two days ago
}

func newSleeper(t *testing.T, s *store.Store) *sleeper {
	t.Helper()
	then := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	dir := filepath.Join(t.TempDir(), "ca")
	young, err := ca.Init(ca.Founding{Config: ca.Config{Dir: dir, Now: then, Lifetime: 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { young.Close() })
	now, err := ca.Open(ca.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { now.Close() })
	h := newHouse(t, s)
	h.authority, h.settings.Authority, h.settings.RenewAfterExpiry = now, now, renewable
	h.desk.Use(&h.settings)
	if h.trust, err = verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{now.Root()}}); err != nil {
		t.Fatal(err)
	}
	issued, err := now.Issue(ca.Request{Profile: "bootstrap", CommonName: "MacID-" + bootstrapID})
	if err != nil {
		t.Fatal(err)
	}
	h.bootstrap = h.party(issued.Certificate, issued.Issuer)
	before := h.settings
	before.Authority = young
	early := enroll.New(enroll.Config{Now: then})
	early.Use(&before)
	return &sleeper{h, early}
}

// fell is a device that got its certificate two days ago.
func (s *sleeper) fell(id string) []*x509.Certificate {
	s.t.Helper()
	s.add(id)
	got, err := s.early.Enroll(s.t.Context(), s.asks(id, newKey(s.t), ""))
	if err != nil {
		s.t.Fatal(err)
	}
	return got.Chain
}

// lapsed is who presents these certificates, of which the first has expired.
func (s *sleeper) lapsed(chain ...*x509.Certificate) enroll.Party {
	s.t.Helper()
	o := verify.Options{Now: time.Now(), Renewal: &verify.Renewal{Within: 100 * renewable, Issuers: chain[1:]}}
	proof, denial := s.trust.Verify(chain, o)
	if denial != nil {
		s.t.Fatal(denial)
	}
	c, denial := identify.From(proof)
	if denial != nil || c.Lapse() == nil {
		s.t.Fatalf("%v, and no lapse", denial)
	}
	return enroll.Party{Client: c, Chain: proof.Path(), Address: s.bootstrap.Address}
}

func TestWhatHasExpiredIsRenewedForTheDeviceThatHasNothingLater(t *testing.T) {
	onBothStores(t, func(t *testing.T, st *store.Store) {
		s := newSleeper(t, st)
		chain := s.fell(one)
		by := s.lapsed(chain...)
		request := func(id string) enroll.Request {
			return enroll.Request{By: by, CSR: csr(t, newKey(t), "MacID-"+id), Renew: true}
		}
		s.enroll(request(two), 403, "EnrollmentCertificateRefused") // another device's
		s.enroll(enroll.Request{By: by}, 400, "EnrollmentInvalid")  // nothing to certify
		got := s.enroll(request(one), 200, "")
		if leaf := got.Chain[0]; leaf.Subject.String() != chain[0].Subject.String() || !leaf.NotAfter.After(time.Now()) {
			t.Errorf("renewed as %s until %s", leaf.Subject, leaf.NotAfter)
		}
		// It is not the latest any more, whoever has it.
		s.enroll(request(one), 403, "EnrollmentCertificateRefused")
		s.enroll(enroll.Request{By: by, CSR: csr(t, newKey(t), "MacID-"+one)}, 403, "EnrollmentCertificateRefused")

		// Initialize over it is as good as EST.
		by = s.lapsed(s.fell(two)...)
		s.enroll(enroll.Request{By: by, Device: two, CSR: csr(t, newKey(t), "")}, 200, "")
	})
}

func TestWhatHasExpiredIsRenewedForActiveDevicesAlone(t *testing.T) {
	s := newSleeper(t, openSQLite(t))
	by := s.lapsed(s.fell(one)...)
	request := func() enroll.Request {
		return enroll.Request{By: by, CSR: csr(t, newKey(t), "MacID-"+one), Renew: true}
	}
	s.do("suspend", one)
	s.enroll(request(), 403, "DeviceNotServed")
	s.do("resume", one)
	s.do("revoke", one)
	s.enroll(request(), 403, "EnrollmentCertificateRefused")
	s.do("ready", one)
	s.enroll(request(), 403, "EnrollmentCertificateRefused")
	if got := s.state(one); got != countersign.DeviceReady {
		t.Errorf("the device is %s", got)
	}
}

func TestWhatHasExpiredIsNotRenewedWithoutEnd(t *testing.T) {
	s := newSleeper(t, openSQLite(t))
	chain := s.fell(one)
	r := enroll.Request{By: s.lapsed(chain...), CSR: csr(t, newKey(t), "MacID-"+one), Renew: true}
	for _, within := range []time.Duration{0, time.Hour} { // a day ago it expired
		s.settings.RenewAfterExpiry = within
		s.desk.Use(&s.settings)
		s.enroll(r, 403, "EnrollmentCertificateRefused")
	}

	// Of an authority that the trust store knows, but that is not the devices' own.
	s.settings.RenewAfterExpiry = renewable
	other, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "other")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	s.settings.Authority = other
	s.desk.Use(&s.settings)
	s.enroll(r, 403, "EnrollmentCertificateRefused")

	s.settings.Authority = s.authority
	s.desk.Use(&s.settings)
	s.enroll(r, 200, "")
}

// What the registry has never heard of may be older than what the device has.
func TestWhatHasExpiredAndIsNotRecordedIsNotRenewed(t *testing.T) {
	s := newSleeper(t, openSQLite(t))
	s.fell(one)
	young, err := ca.Open(ca.Config{Dir: s.authority.Dir(), Lifetime: 24 * time.Hour, Now: func() time.Time { return time.Now().Add(-47 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { young.Close() })
	issued, err := young.Issue(ca.Request{Profile: "device", CommonName: "MacID-" + one})
	if err != nil {
		t.Fatal(err)
	}
	by := s.lapsed(issued.Certificate, issued.Issuer)
	s.enroll(enroll.Request{By: by, CSR: csr(t, newKey(t), "MacID-"+one), Renew: true}, 403, "EnrollmentCertificateRefused")

	// What all devices are made with is not renewed, expired or not.
	if issued, err = young.Issue(ca.Request{Profile: "bootstrap", CommonName: "MacID-" + bootstrapID}); err != nil {
		t.Fatal(err)
	}
	by = s.lapsed(issued.Certificate, issued.Issuer)
	s.enroll(enroll.Request{By: by, Device: one, CSR: csr(t, newKey(t), "MacID-"+one)}, 403, "EnrollmentCertificateRefused")
}
