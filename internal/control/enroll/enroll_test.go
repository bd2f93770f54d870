package enroll_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/initialize"
	"countersign.dev/internal/control/enroll/naming"
	"countersign.dev/internal/control/enroll/sealed"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/traffic/verify"
)

const (
	bootstrapID = "00:00:00:00:00:00"
	one         = "AA:BB:CC:00:00:01"
	two         = "AA:BB:CC:00:00:02"
)

var ann = device.Author{Who: "operator ann", Why: "a test"}

// A house is a registry with an authority and a desk.
type house struct {
	t         testing.TB
	store     *store.Store
	registry  *device.Registry
	authority *ca.Authority
	desk      *enroll.Desk
	settings  enroll.Settings
	trust     *verify.Store
	bootstrap enroll.Party
}

func newHouse(t testing.TB, s *store.Store, changes ...func(*enroll.Settings)) *house {
	t.Helper()
	authority, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(t.TempDir(), "ca")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { authority.Close() })
	box, err := sealed.Open(filepath.Join(t.TempDir(), "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	ids := device.IDs{Form: device.FormMAC, Pattern: regexp.MustCompile(`^MacID-(.+)$`)}
	h := &house{t: t, store: s, authority: authority, registry: device.New(device.Config{Store: s, IDs: ids}), desk: enroll.New(enroll.Config{}),
		settings: enroll.Settings{Store: s, IDs: ids, Bootstrap: bootstrapID, Claim: enroll.ClaimNone, Name: "MacID-{id}",
			Authority: authority, Box: box, PerSource: 1e9, PerDevice: 1e9, Retry: time.Minute}}
	for _, change := range changes {
		change(&h.settings)
	}
	h.desk.Use(&h.settings)
	h.trust, err = verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{authority.Root()}})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.Issue(ca.Request{Profile: "bootstrap", CommonName: "MacID-" + bootstrapID})
	if err != nil {
		t.Fatal(err)
	}
	h.bootstrap = h.party(issued.Certificate, issued.Issuer)
	return h
}

// party is who presents these certificates.
func (h *house) party(chain ...*x509.Certificate) enroll.Party {
	h.t.Helper()
	proof, denial := h.trust.Verify(chain, verify.Options{Now: time.Now()})
	if denial != nil {
		h.t.Fatal(denial)
	}
	c, denial := identify.From(proof)
	if denial != nil {
		h.t.Fatal(denial)
	}
	return enroll.Party{Client: c, Chain: proof.Path(), Address: netip.MustParseAddr("192.0.2.7")}
}

// certificate is one with the name of a device where ids look for it.
func (h *house) certificate(ids device.IDs, id string) []*x509.Certificate {
	h.t.Helper()
	name := strings.ReplaceAll(naming.Of(ids), "{id}", id)
	r := ca.Request{Profile: "bootstrap", CommonName: id}
	switch ids.From {
	case device.FromSANDNS:
		r.Names = []string{"dns:" + name}
	case device.FromSANURI:
		r.Names = []string{"uri:" + name}
	}
	issued, err := h.authority.Issue(r)
	if err != nil {
		h.t.Fatal(err)
	}
	return []*x509.Certificate{issued.Certificate, issued.Issuer}
}

// add provisions a device, and makes it ready.
func (h *house) add(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		if _, err := h.registry.Add(h.t.Context(), ann, countersign.Device{ID: id, State: countersign.DeviceReady}); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) do(verb, id string) {
	h.t.Helper()
	if _, err := h.registry.Do(h.t.Context(), ann, verb, id); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) state(id string) countersign.State {
	h.t.Helper()
	d, err := h.store.Devices.Device(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return d.State
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func csr(t testing.TB, key crypto.Signer, name string, more ...func(*x509.CertificateRequest)) []byte {
	t.Helper()
	r := &x509.CertificateRequest{}
	if name != "" {
		r.Subject = pkix.Name{CommonName: name}
	}
	for _, m := range more {
		m(r)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// bundleOf is a certificate with its key, as an operator has them.
func bundleOf(t testing.TB, i ca.Issued) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		t.Fatal(err)
	}
	all := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate.Raw})
	return append(all, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
}

func digest(t testing.TB, key crypto.Signer) string {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// enroll asks, and demands this status; 200 is a delivery.
func (h *house) enroll(r enroll.Request, status int, code string) *enroll.Delivery {
	h.t.Helper()
	got, err := h.desk.Enroll(h.t.Context(), r)
	var refusal *enroll.Refusal
	switch {
	case err == nil && status == 200:
		return got
	case err == nil:
		h.t.Fatalf("a certificate was delivered, want %d %s", status, code)
	case !errors.As(err, &refusal):
		h.t.Fatalf("%v is no refusal", err)
	case refusal.Status != status || code != "" && refusal.Code != code:
		h.t.Fatalf("%d %v; want %d %s", refusal.Status, refusal, status, code)
	}
	if (status == 202 || status == 429 || status == 503) != (refusal.Wait > 0) {
		h.t.Errorf("%d %s says to wait %s", refusal.Status, refusal.Code, refusal.Wait)
	}
	return nil
}

func (h *house) asks(id string, key crypto.Signer, secret string) enroll.Request {
	h.t.Helper()
	return enroll.Request{By: h.bootstrap, Device: id, CSR: csr(h.t, key, "MacID-"+id), Secret: secret}
}

// onBothStores runs a test on SQLite and on PostgreSQL.
func onBothStores(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, openPostgres(t)) })
}

func openSQLite(t testing.TB) *store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openPostgres(t testing.TB) *store.Store {
	t.Helper()
	server := testrequire.PostgreSQL(t)
	c, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	name := strings.ToLower("enroll" + rand.Text()[:8])
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	s, err := postgres.Open(t.Context(), postgres.Config{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The sequence of the device gateway: from the factory to the first certificate,
// its use, its loss and the next one.
func TestTheLifeOfADevice(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s)
		key := newKey(t)
		h.enroll(h.asks(one, key, ""), 404, "DeviceNotProvisioned")
		if _, err := h.registry.Add(t.Context(), ann, countersign.Device{ID: one}); err != nil {
			t.Fatal(err)
		}
		h.enroll(h.asks(one, key, ""), 202, "DeviceNotReady")
		h.do("ready", one)
		got := h.enroll(h.asks("aa-bb-cc-00-00-01", key, ""), 200, "")
		leaf := got.Chain[0]
		if leaf.Subject.String() != "CN=MacID-"+one || len(got.Chain) != 2 || got.Key != nil || h.state(one) != countersign.DeviceActive {
			t.Errorf("delivered: %s with %d behind it and %d bytes of key; the device is %s", leaf.Subject, len(got.Chain)-1, len(got.Key), h.state(one))
		}
		own := h.party(got.Chain...)
		again := h.enroll(h.asks(one, key, ""), 200, "") // whoever lost the answer
		if !again.Again || !again.Chain[0].Equal(leaf) {
			t.Errorf("fetched again: %v, another certificate", again.Again)
		}
		h.enroll(h.asks(one, newKey(t), ""), 409, "EnrollmentKeyConflict")

		// The first use ends that.
		if err := s.Enrollments.Acknowledge(t.Context(), sha256.Sum256(leaf.Raw), time.Now()); err != nil {
			t.Fatal(err)
		}
		h.enroll(h.asks(one, key, ""), 403, "EnrollmentDelivered")
		h.enroll(h.asks(one, newKey(t), ""), 403, "EnrollmentDelivered")

		next := h.enroll(enroll.Request{By: own, Device: one, CSR: csr(t, newKey(t), "")}, 200, "")
		if next.Chain[0].Subject.String() != leaf.Subject.String() || next.Chain[0].Equal(leaf) {
			t.Errorf("renewed as %s", next.Chain[0].Subject)
		}
		if all, err := s.Credentials.Of(t.Context(), one); err != nil || len(all) != 2 {
			t.Errorf("%d credentials, %v; want 2", len(all), err)
		}

		h.do("revoke", one)
		h.enroll(enroll.Request{By: own, Device: one, CSR: csr(t, newKey(t), "")}, 403, "EnrollmentCertificateRefused")
		h.enroll(h.asks(one, newKey(t), ""), 202, "DeviceNotReady")
		h.do("ready", one)
		h.enroll(enroll.Request{By: own, Device: one, CSR: csr(t, newKey(t), "")}, 403, "EnrollmentCertificateRefused")
		h.enroll(h.asks(one, key, ""), 409, "EnrollmentKeyConflict") // what was lost with the device
		h.enroll(h.asks(one, newKey(t), ""), 200, "")

		for _, verb := range []string{"suspend", "retire"} {
			h.do(verb, one)
			h.enroll(h.asks(one, newKey(t), ""), 403, "DeviceNotServed")
		}
		for outcome, want := range map[string]uint64{"delivered": 3, "repeated": 1, "EnrollmentDelivered": 2, "DeviceNotServed": 2} {
			if got := h.desk.Outcomes()[outcome]; got != want {
				t.Errorf("%d attempts ended with %s, want %d", got, outcome, want)
			}
		}
		file, err := h.registry.Show(t.Context(), one)
		if err != nil || file.TrailFault != nil {
			t.Fatalf("the trail: %v, %v", err, file.TrailFault)
		}
	})
}

// Two clients race for one device, a thousand times: exactly one ever gets a
// certificate, and with a secret never the one without it.
func TestOfTwoWhoRaceForOneDeviceExactlyOneEverGetsACertificate(t *testing.T) {
	races := 1000
	if testing.Short() {
		races = 50
	}
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s)
		// Another node, with a desk of its own, on the same store.
		other := enroll.New(enroll.Config{})
		other.Use(&h.settings)
		keys := [2]crypto.Signer{newKey(t), newKey(t)}
		for _, claim := range []enroll.Claim{enroll.ClaimNone, enroll.ClaimSecret} {
			for n := range races / 2 {
				id := fmt.Sprintf("AA:BB:%02X:00:%02X:%02X", len(claim), n>>8, n&0xff)
				h.add(id)
				secret, err := h.desk.SetClaim(t.Context(), ann, id, enroll.ClaimChange{Claim: claim})
				if err != nil {
					t.Fatal(err)
				}
				// A key serves one device alone.
				keys = [2]crypto.Signer{newKey(t), newKey(t)}
				requests := [2]enroll.Request{h.asks(id, keys[0], ""), h.asks(id, keys[1], secret)}
				var got [2]*enroll.Delivery
				var errs [2]error
				var race sync.WaitGroup
				for i, desk := range []*enroll.Desk{h.desk, other} {
					race.Go(func() { got[i], errs[i] = desk.Enroll(t.Context(), requests[i]) })
				}
				race.Wait()
				winners := 0
				for i := range got {
					if got[i] != nil {
						winners++
					} else if r := (*enroll.Refusal)(nil); !errors.As(errs[i], &r) || r.Status != 403 && r.Status != 409 {
						t.Fatalf("race %d for %s: %v", n, id, errs[i])
					}
				}
				all, err := s.Credentials.Of(t.Context(), id)
				if err != nil || winners != 1 || len(all) != 1 {
					t.Fatalf("race %d for %s: %d got a certificate, %d are recorded, %v; %v", n, id, winners, len(all), err, errs)
				}
				if claim == enroll.ClaimSecret && got[0] != nil {
					t.Fatalf("race %d: the one without the secret got the certificate", n)
				}
			}
		}
	})
}

// The same device asks twice at once, on two nodes, with one key: it has one
// certificate afterwards, and what was issued beside it is revoked.
func TestOneKeyThatAsksTwiceAtOnceHasOneCertificate(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s)
		other := enroll.New(enroll.Config{})
		other.Use(&h.settings)
		for n := range 20 {
			id := fmt.Sprintf("AA:BB:CC:DD:00:%02X", n)
			h.add(id)
			r := h.asks(id, newKey(t), "")
			var got [4]*enroll.Delivery
			var race sync.WaitGroup
			for i := range got {
				desk := []*enroll.Desk{h.desk, other}[i%2]
				race.Go(func() {
					var err error
					if got[i], err = desk.Enroll(t.Context(), r); err != nil {
						t.Error(err)
					}
				})
			}
			race.Wait()
			if t.Failed() {
				return
			}
			for _, d := range got {
				if !d.Chain[0].Equal(got[0].Chain[0]) {
					t.Fatal("two certificates were handed out")
				}
			}
		}
		good := 0
		for c, err := range h.authority.Certificates(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Profile == "device" && !c.Revoked() {
				good++
			}
		}
		if good != 20 {
			t.Errorf("%d certificates of devices are good, want 20", good)
		}
	})
}

func TestClaims(t *testing.T) {
	h := newHouse(t, openSQLite(t), func(s *enroll.Settings) { s.Claim = enroll.ClaimSecret })
	ctx := t.Context()
	key := newKey(t)

	h.add(one)
	h.enroll(h.asks(one, key, ""), 403, "EnrollmentClaimFailed")
	h.enroll(h.asks(one, key, "anything"), 403, "EnrollmentClaimFailed") // none was set
	secret, err := h.desk.SetClaim(ctx, ann, one, enroll.ClaimChange{Claim: enroll.ClaimSecret})
	if err != nil || len(secret) < 26 {
		t.Fatalf("the secret is %q, %v", secret, err)
	}
	h.enroll(h.asks(one, key, secret[1:]), 403, "EnrollmentClaimFailed")
	h.enroll(h.asks(one, key, secret), 200, "")
	h.enroll(h.asks(one, key, ""), 403, "EnrollmentClaimFailed") // the key alone does not fetch it again
	if _, err := h.desk.SetClaim(ctx, ann, one, enroll.ClaimChange{Claim: enroll.ClaimNone}); !errors.Is(err, device.ErrRefused) {
		t.Errorf("the claim of an active device is changed: %v", err)
	}
	// A claim is good once.
	h.do("revoke", one)
	h.do("ready", one)
	h.enroll(h.asks(one, newKey(t), secret), 403, "EnrollmentClaimFailed")

	h.add(two)
	pinned := newKey(t)
	if _, err := h.desk.SetClaim(ctx, ann, two, enroll.ClaimChange{Claim: enroll.ClaimKey, Key: string(csr(t, pinned, ""))}); err != nil {
		t.Fatal(err)
	}
	h.enroll(h.asks(two, newKey(t), ""), 403, "EnrollmentClaimFailed")
	h.enroll(enroll.Request{By: h.bootstrap, Device: two}, 400, "EnrollmentInvalid")
	h.enroll(h.asks(two, pinned, ""), 200, "")

	const three = "AA:BB:CC:00:00:03"
	h.add(three)
	if _, err := h.desk.SetClaim(ctx, ann, three, enroll.ClaimChange{Claim: enroll.ClaimApproval}); err != nil {
		t.Fatal(err)
	}
	mine, thief := newKey(t), newKey(t)
	for range 2 { // who asks again waits on
		h.enroll(h.asks(three, mine, ""), 202, "EnrollmentAwaitsApproval")
		h.enroll(h.asks(three, thief, ""), 202, "EnrollmentAwaitsApproval")
	}
	waiting, err := h.desk.Waiting(ctx, "", 10)
	if err != nil || len(waiting) != 1 || len(waiting[0].Asked) != 2 || waiting[0].Asked[0].Address != "192.0.2.7" {
		t.Fatalf("waiting: %+v, %v", waiting, err)
	}
	if err := h.desk.Approve(ctx, ann, three, digest(t, newKey(t))); !errors.Is(err, device.ErrRefused) {
		t.Errorf("a key is approved that did not ask: %v", err)
	}
	if err := h.desk.Approve(ctx, ann, three, digest(t, mine)); err != nil {
		t.Fatal(err)
	}
	h.enroll(h.asks(three, thief, ""), 403, "EnrollmentClaimFailed")
	h.enroll(h.asks(three, mine, ""), 200, "")
}

func TestAnUploadedKeyIsHandedOutOnceAndIsSealedUntilThen(t *testing.T) {
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s)
		ctx := t.Context()
		h.add(one, two)
		root := testpki.NewRoot(t, "Maker Root")
		maker := root.Client("MacID-AA-BB-CC-00-00-01", testpki.Valid(time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
		bundle := append(maker.PEM(), maker.KeyPEM()...)
		if err := h.desk.Upload(ctx, ann, two, bundle); err == nil || !strings.Contains(err.Error(), "that of "+one) {
			t.Errorf("another device's bundle: %v", err)
		}
		if err := h.desk.Upload(ctx, ann, one, maker.PEM()); err == nil || !strings.Contains(err.Error(), "no private key") {
			t.Errorf("a bundle without its key: %v", err)
		}
		if err := h.desk.Upload(ctx, ann, one, bundle); err != nil {
			t.Fatal(err)
		}
		e, err := s.Enrollments.Enrollment(ctx, one)
		if err != nil || len(e.SealedKey) == 0 || bytes.Contains(e.SealedKey, []byte("PRIVATE")) {
			t.Fatalf("what is kept: %d bytes, %v", len(e.SealedKey), err)
		}
		h.enroll(enroll.Request{By: h.bootstrap, Device: one, Keyless: true}, 406, "EnrollmentNotAcceptable")
		got := h.enroll(enroll.Request{By: h.bootstrap, Device: one}, 200, "")
		if !got.Chain[0].Equal(maker.X509) || !bytes.Contains(got.Key, []byte("PRIVATE KEY")) {
			t.Errorf("handed out: %s, %q", got.Chain[0].Subject, got.Key)
		}
		if e, err = s.Enrollments.Enrollment(ctx, one); err != nil || e.SealedKey != nil {
			t.Errorf("the key is still kept: %d bytes, %v", len(e.SealedKey), err)
		}
		h.enroll(enroll.Request{By: h.bootstrap, Device: one}, 403, "EnrollmentDelivered")
		h.enroll(h.asks(one, newKey(t), ""), 403, "EnrollmentDelivered")
	})
}

// T32: a signing request asks for more than the device is.
func TestSigningRequestsForMoreThanTheDeviceAreRefused(t *testing.T) {
	h := newHouse(t, openSQLite(t))
	h.add(one, two)
	key := newKey(t)
	ca, err := hex.DecodeString("30030101ff")
	if err != nil {
		t.Fatal(err)
	}
	serverAuth, err := hex.DecodeString("300a06082b06010505070301")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("spiffe://example.com/admin")
	if err != nil {
		t.Fatal(err)
	}
	broken := csr(t, key, "MacID-"+one)
	block, _ := pem.Decode(broken)
	block.Bytes[len(block.Bytes)-1] ^= 1
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string][]byte{
		"another device":             csr(t, key, "MacID-"+two),
		"another device, lower case": csr(t, key, "MacID-aa-bb-cc-00-00-02"),
		"a person":                   csr(t, key, "admin"),
		"the bootstrap certificate":  csr(t, key, "MacID-"+bootstrapID),
		"two common names": csr(t, key, "", func(r *x509.CertificateRequest) {
			r.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "MacID-" + one}, {Type: []int{2, 5, 4, 3}, Value: "MacID-" + two}}
		}),
		"a host name": csr(t, key, "MacID-"+one, func(r *x509.CertificateRequest) { r.DNSNames = []string{"api.example.com"} }),
		"an address":  csr(t, key, "MacID-"+one, func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }),
		"a mailbox":   csr(t, key, "MacID-"+one, func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@example.com"} }),
		"a SPIFFE id": csr(t, key, "MacID-"+one, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{u} }),
		"to be an authority": csr(t, key, "MacID-"+one, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: ca}}
		}),
		"to be a server": csr(t, key, "MacID-"+one, func(r *x509.CertificateRequest) {
			r.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 37}, Value: serverAuth}}
		}),
		"a signature of another":   pem.EncodeToMemory(block),
		"a weak key":               csr(t, small, "MacID-"+one),
		"a mebibyte":               make([]byte, 1<<20),
		"nothing that can be read": []byte("hello"),
	} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.enroll(enroll.Request{By: h.bootstrap, Device: one, CSR: request}, 400, "EnrollmentInvalid")
		})
	}
	h.t = t
	if h.state(one) != countersign.DeviceReady {
		t.Errorf("the device is %s", h.state(one))
	}
	// A spelling of its own is no other device, and what is issued has the one.
	got := h.enroll(enroll.Request{By: h.bootstrap, Device: one, CSR: csr(t, key, "MacID-aabb.cc00.0001", func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"Evil Corp"} })}, 200, "")
	if s := got.Chain[0].Subject.String(); s != "CN=MacID-"+one {
		t.Errorf("issued to %q", s)
	}
	h.enroll(h.asks(two, key, ""), 409, "EnrollmentKeyConflict") // one's key
}

// T31, T33: who may not ask.
func TestWhoMayNotEnrollIsRefused(t *testing.T) {
	h := newHouse(t, openSQLite(t))
	h.add(one, two)
	first := h.enroll(h.asks(one, newKey(t), ""), 200, "")
	own := h.party(first.Chain...)
	request := csr(t, newKey(t), "")

	h.enroll(enroll.Request{By: enroll.Party{Client: identify.Anonymous(), Address: own.Address}, Device: two, CSR: request}, 403, "ClientCertMissing")
	h.enroll(enroll.Request{Device: two, CSR: request}, 403, "ClientCertMissing")
	for _, spelled := range []string{two, "aa-bb-cc-00-00-02", "AABB.CC00.0002", "MacID-" + two} {
		h.enroll(enroll.Request{By: own, Device: spelled, CSR: request}, 403, "EnrollmentCertificateRefused")
		h.enroll(enroll.Request{By: own, Device: spelled, CSR: csr(t, newKey(t), "MacID-"+two), Renew: true}, 403, "EnrollmentCertificateRefused")
	}
	h.enroll(enroll.Request{By: own, CSR: csr(t, newKey(t), "MacID-"+two), Renew: true}, 403, "EnrollmentCertificateRefused")
	// It is one's own, in another form than the certificate's: not the same name.
	h.enroll(enroll.Request{By: own, CSR: csr(t, newKey(t), "MacID-aa-bb-cc-00-00-01"), Renew: true}, 400, "EnrollmentInvalid")
	h.enroll(enroll.Request{By: own, CSR: csr(t, newKey(t), "MacID-"+one, func(r *x509.CertificateRequest) { r.DNSNames = []string{"api.example.com"} }), Renew: true}, 400, "EnrollmentInvalid")
	h.enroll(enroll.Request{By: h.bootstrap, CSR: csr(t, newKey(t), "MacID-"+two), Renew: true}, 403, "EnrollmentCertificateRefused")
	h.enroll(enroll.Request{By: h.bootstrap, Device: bootstrapID, CSR: csr(t, newKey(t), "")}, 400, "EnrollmentInvalid")
	h.enroll(enroll.Request{By: h.bootstrap, Device: "AA:BB:CC:00:00:0G", CSR: csr(t, newKey(t), "")}, 400, "EnrollmentInvalid") // a near miss
	h.enroll(enroll.Request{By: h.bootstrap, Device: two}, 400, "EnrollmentInvalid")
	if got := h.enroll(enroll.Request{By: own, CSR: csr(t, newKey(t), "MacID-"+one), Renew: true}, 200, ""); got.Chain[0].Subject.String() != "CN=MacID-"+one {
		t.Errorf("renewed as %s", got.Chain[0].Subject)
	}
	h.do("suspend", one)
	h.enroll(enroll.Request{By: own, CSR: csr(t, newKey(t), "MacID-"+one), Renew: true}, 403, "DeviceNotServed")
}

// Devices that their maker has given a certificate are registered when they come.
func TestAMakersDeviceIsRegisteredWhenItComes(t *testing.T) {
	maker, stranger := testpki.NewRoot(t, "Maker Root"), testpki.NewRoot(t, "Other Root")
	onBothStores(t, func(t *testing.T, s *store.Store) {
		h := newHouse(t, s, func(s *enroll.Settings) {
			s.Claim = enroll.ClaimNone
			s.Makers = &enroll.Makers{Authorities: []*x509.Certificate{maker.X509}, Claim: enroll.ClaimApproval,
				IDs: regexp.MustCompile("^AA:BB:CC:"), Labels: map[string]string{"maker": "acme"}}
		})
		var err error
		h.trust, err = verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{h.authority.Root(), maker.X509, stranger.X509}})
		if err != nil {
			t.Fatal(err)
		}
		comes := func(root *testpki.Certificate, id string) enroll.Request {
			return enroll.Request{By: h.party(root.Client("MacID-" + id).X509), CSR: csr(t, newKey(t), "")}
		}
		h.enroll(comes(stranger, one), 404, "DeviceNotProvisioned")
		h.enroll(comes(maker, "00:00:5E:00:53:01"), 404, "DeviceNotProvisioned") // another id than those of the maker
		other := comes(maker, one)
		other.Device = two
		h.enroll(other, 403, "EnrollmentCertificateRefused")
		h.enroll(h.asks(one, newKey(t), ""), 404, "DeviceNotProvisioned") // with what all have
		renewing := comes(maker, one)
		renewing.Renew, renewing.CSR = true, csr(t, newKey(t), "MacID-"+one)
		h.enroll(renewing, 404, "DeviceNotProvisioned")

		first := comes(maker, one)
		h.enroll(first, 202, "EnrollmentAwaitsApproval")
		d, err := s.Devices.Device(t.Context(), one)
		if err != nil || d.State != countersign.DeviceReady || d.Labels["maker"] != "acme" {
			t.Fatalf("registered: %+v, %v", d, err)
		}
		view, err := h.desk.View(t.Context(), one)
		if err != nil || view.Claim != enroll.ClaimApproval || len(view.Asked) != 1 {
			t.Fatalf("%+v, %v", view, err)
		}
		if err := h.desk.Approve(t.Context(), ann, one, hex.EncodeToString(view.Asked[0].Key)); err != nil {
			t.Fatal(err)
		}
		if got := h.enroll(first, 200, ""); got.Chain[0].Subject.String() != "CN=MacID-"+one || got.Chain[0].Issuer.String() == maker.X509.Subject.String() {
			t.Errorf("delivered: %s of %s", got.Chain[0].Subject, got.Chain[0].Issuer)
		}

		// Where the certificate is enough.
		h.settings.Makers.Claim = enroll.ClaimNone
		h.desk.Use(&h.settings)
		h.enroll(comes(maker, two), 200, "")
	})
}

func TestAttemptsAreLimitedPerSourceAndPerDevice(t *testing.T) {
	h := newHouse(t, openSQLite(t), func(s *enroll.Settings) { s.PerSource, s.PerDevice = 6, 3 })
	h.add(one)
	for range 3 {
		h.enroll(enroll.Request{By: h.bootstrap, Device: one, CSR: csr(t, newKey(t), "")}, map[bool]int{true: 200, false: 409}[h.state(one) == countersign.DeviceReady], "")
	}
	h.enroll(h.asks(one, newKey(t), ""), 429, "EnrollmentTooMany")
	elsewhere := h.bootstrap
	elsewhere.Address = netip.MustParseAddr("2001:db8::1")
	h.enroll(enroll.Request{By: elsewhere, Device: one}, 429, "EnrollmentTooMany")
	h.enroll(h.asks(two, newKey(t), ""), 404, "")
	h.enroll(h.asks(two, newKey(t), ""), 404, "")
	h.enroll(h.asks(two, newKey(t), ""), 429, "EnrollmentTooMany") // of the source
	for range 3 {
		elsewhere.Address = elsewhere.Address.Next() // the same network
		h.enroll(enroll.Request{By: elsewhere, Device: "AA:BB:CC:00:00:04", CSR: csr(t, newKey(t), "")}, 404, "")
	}
}

// Whatever is sent, somebody who has shown no certificate gets none, and an answer.
func FuzzInitialize(f *testing.F) {
	h := newHouse(f, openSQLite(f))
	h.settings.PerSource = 1 << 30
	h.add(one)
	request := csr(f, newKey(f), "MacID-"+one)
	whole, err := json.Marshal(map[string]string{"device_id": one, "csr": string(request), "claim": "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, "application/pkcs7-mime;q=0.5, */*", true)
	f.Add([]byte(`{"device_id": 1}`), "", false)
	f.Add([]byte(`{"device_id":"`+two+`","csr":"-----BEGIN CERTIFICATE REQUEST-----"}`), "text/html;q=x", true)
	handler := initialize.Handler{Desk: h.desk}
	f.Fuzz(func(t *testing.T, body []byte, accept string, bootstrap bool) {
		q := &respond.Request{Method: "POST", Path: "/", Header: http.Header{}, Body: body, Client: identify.Anonymous()}
		if accept != "" {
			q.Header.Set("Accept", accept)
		}
		if bootstrap {
			q.Client, q.Chain = h.bootstrap.Client, h.bootstrap.Chain
		}
		a := handler.Respond(t.Context(), q)
		if a.Status < 200 || a.Status > 599 || a.Status == 200 && !bootstrap || a.Status >= 500 {
			t.Errorf("%q is answered %d %s", body, a.Status, a.Body)
		}
	})
}
