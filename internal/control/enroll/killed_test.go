package enroll_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/control/enroll/sealed"
	"countersign.dev/internal/control/withdraw"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/dn"
)

// TestMain runs this binary as the node that is killed when asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("COUNTERSIGN_TEST_VICTIM"); dir != "" {
		fmt.Fprintln(os.Stderr, victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A node is what a process has of a directory: a store, an authority, a desk.
type node struct {
	dir       string
	store     *store.Store
	authority *ca.Authority
	registry  *device.Registry
	desk      *enroll.Desk
	bootstrap enroll.Party
}

// openNode opens what is in dir.
func openNode(ctx context.Context, dir string) (*node, error) {
	s, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "devices.db")})
	if err != nil {
		return nil, err
	}
	authority, err := ca.Open(ca.Config{Dir: filepath.Join(dir, "pki")})
	if err != nil {
		return nil, err
	}
	box, err := sealed.Open(filepath.Join(dir, "node.key"))
	if err != nil {
		return nil, err
	}
	ids := device.IDs{Form: device.FormText, Pattern: regexp.MustCompile(`^device (.+)$`)}
	n := &node{dir: dir, store: s, authority: authority, registry: device.New(device.Config{Store: s, IDs: ids}), desk: enroll.New(enroll.Config{})}
	n.desk.Use(&enroll.Settings{Store: s, IDs: ids, Bootstrap: "none", Claim: enroll.ClaimNone, Name: "device {id}", Authority: authority, Box: box,
		PerSource: 1e9, PerDevice: 1e9, Retry: time.Minute})
	issued, err := authority.Issue(ca.Request{Profile: "bootstrap", CommonName: "device none"})
	if err != nil {
		return nil, err
	}
	n.bootstrap, err = partyOf(authority, issued.Certificate, issued.Issuer)
	return n, err
}

func (n *node) close() error { return errors.Join(n.store.Close(), n.authority.Close()) }

func partyOf(a *ca.Authority, chain ...*x509.Certificate) (enroll.Party, error) {
	trust, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{a.Root()}})
	if err != nil {
		return enroll.Party{}, err
	}
	proof, denial := trust.Verify(chain, verify.Options{})
	if denial != nil {
		return enroll.Party{}, errors.New(denial.Reason)
	}
	c, denial := identify.From(proof)
	if denial != nil {
		return enroll.Party{}, errors.New(denial.Reason)
	}
	return enroll.Party{Client: c, Chain: proof.Path(), Address: netip.MustParseAddr("192.0.2.7")}, nil
}

// victim has devices come to it, several at once, until it is killed. A line on its
// standard output is said to somebody who relies on it.
func victim(dir string) error {
	ctx := context.Background()
	n, err := openNode(ctx, dir)
	if err != nil {
		return err
	}
	go n.follow(ctx)
	failed := make(chan error)
	var count atomic.Int64
	for range 3 {
		go func() {
			for {
				if err := n.suffer(ctx, count.Add(1)); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// follow has what the registry revokes put on the authority's list.
func (n *node) follow(ctx context.Context) {
	withdraw.Follow(ctx, withdraw.Config{Devices: n.store.Devices, Credentials: n.store.Credentials, Changes: n.store.Changes,
		Authorities: func() []withdraw.Authority { return []withdraw.Authority{n.authority} },
		Place:       filepath.Join(n.dir, "withdrawn"), Gather: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
}

// suffer is the life of one device.
func (n *node) suffer(ctx context.Context, number int64) error {
	id := fmt.Sprintf("%d-%d", os.Getpid(), number)
	if _, err := n.registry.Add(ctx, ann, countersign.Device{ID: id, State: countersign.DeviceReady}); err != nil {
		return err
	}
	r := enroll.Request{By: n.bootstrap, Device: id}
	if number%4 == 0 {
		issued, err := n.authority.Issue(ca.Request{CommonName: "device " + id})
		if err != nil {
			return err
		}
		key, err := issued.KeyPEM()
		if err != nil {
			return err
		}
		if err := n.desk.Upload(ctx, ann, id, append(issued.ChainPEM(), key...)); err != nil {
			return err
		}
		fmt.Println("uploaded", id)
	} else {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		if r.CSR, err = n.wants(id, key); err != nil {
			return err
		}
		fmt.Println("asks", id)
	}
	got, err := n.desk.Enroll(ctx, r)
	if err != nil {
		return err
	}
	fmt.Println("has", id, dn.Serial(got.Chain[0].SerialNumber))
	if number%3 != 0 {
		return nil
	}
	if _, err := n.registry.Do(ctx, ann, "revoke", id); err != nil {
		return err
	}
	fmt.Println("cut", id)
	if number%6 != 0 {
		return nil
	}
	done, err := n.authority.RevokeCertificate(got.Chain[0], "", time.Time{}) // beside who follows
	if err != nil {
		return err
	}
	fmt.Println("listed", id, done.Lists.Issuing.Number)
	return nil
}

// wants is the signing request of a device that keeps its key.
func (n *node) wants(id string, key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(n.dir, "keys", id), der, 0o600); err != nil {
		return nil, err
	}
	return signed(id, key)
}

func signed(id string, key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "device " + id}}, key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
}

// A promise is what a device was told before the power was gone.
type promise struct {
	uploaded, cut bool
	serial        string // of what it has; "": it has not heard of it
}

// Whenever the node is killed: what it has said stays so, a device has one
// certificate, and gets it if it has not; a key that was uploaded is handed out
// once; who was cut off is on the list in the end, whose number never goes back.
func TestANodeIsKilledAtAnyMomentOfEnrollment(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 10
	}
	dir := t.TempDir()
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: filepath.Join(dir, "pki")}})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	promises := map[string]*promise{}
	var number int64
	for round := range rounds {
		promised := killed(t, dir, promises)
		lists, err := a.Lists()
		if err != nil {
			t.Fatal(err)
		}
		if n := lists.Issuing.Number.Int64(); n < max(number, promised) {
			t.Fatalf("round %d: the list has the number %d, after %d, and %d that was promised", round, n, number, promised)
		} else {
			number = n
		}
	}
	kept(t, dir, promises)
}

// killed runs a node until it has said so many things, and notes them. It returns
// the latest number of a list.
func killed(t *testing.T, dir string, promises map[string]*promise) (number int64) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "COUNTERSIGN_TEST_VICTIM="+dir)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	last := mathrand.IntN(14)
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == last {
			// It goes on working while the signal is on its way: the moment at which
			// it dies is nobody's choice.
			if err := c.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		words := strings.Fields(lines.Text())
		p := promises[words[1]]
		if p == nil {
			p = &promise{}
			promises[words[1]] = p
		}
		switch words[0] {
		case "uploaded":
			p.uploaded = true
		case "has":
			p.serial = words[2]
		case "cut":
			p.cut = true
		case "listed":
			n, err := strconv.ParseInt(words[2], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			number = max(number, n)
		}
	}
	_ = c.Wait() // "signal: killed"
	return number
}

// kept holds a directory against what was promised.
func kept(t *testing.T, dir string, promises map[string]*promise) {
	t.Helper()
	n, err := openNode(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { n.follow(ctx) })
	cuts := map[string]bool{} // serial numbers
	counted := map[string]int{}
	for id, p := range promises {
		file, err := n.registry.Show(t.Context(), id)
		if err != nil || file.TrailFault != nil {
			t.Fatalf("%s: %v, its trail %v", id, err, file.TrailFault)
		}
		switch {
		case file.Device.State == countersign.DeviceRevoked: // it was cut off, and may not have heard of it
			counted["cut"]++
			for _, c := range file.Credentials {
				if cuts[c.Serial] = true; c.State != countersign.CredentialRevoked {
					t.Errorf("%s is revoked, its credential %s is not", id, c.Serial)
				}
			}
			continue
		case p.cut:
			t.Errorf("%s was cut off, and is %s", id, file.Device.State)
			continue
		case p.serial != "" && (len(file.Credentials) != 1 || file.Credentials[0].Serial != p.serial):
			t.Errorf("%s has %s, the registry %v", id, p.serial, file.Credentials)
		}
		had := n.asksAgain(t, id, p)
		counted[had]++
		all, err := n.store.Credentials.Of(t.Context(), id)
		if err != nil || len(all) != 1 {
			t.Errorf("%s (%s): %d credentials, %v", id, had, len(all), err)
			continue
		}
		if c, ok, err := n.authority.Status(t.Context(), all[0].Serial); err != nil || !ok || c.Revoked() {
			t.Errorf("%s has %s: in the ledger %v, %v, revoked: %v", id, all[0].Serial, ok, err, c.Revoked())
		}
	}
	t.Logf("%d devices: %v", len(promises), counted)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if missing := n.unlisted(t, cuts); len(missing) == 0 {
			break
		} else if time.Now().After(deadline) {
			t.Errorf("%d of %d that were cut off are on no list: %v", len(missing), len(cuts), missing)
			break
		}
	}
	cancel()
	following.Wait()
}

// asksAgain is a device that comes again with its key, and somebody else after it.
func (n *node) asksAgain(t *testing.T, id string, p *promise) (had string) {
	t.Helper()
	r := enroll.Request{By: n.bootstrap, Device: id}
	if p.uploaded {
		had = "lost the key"
		got, err := n.desk.Enroll(t.Context(), r)
		switch {
		case err == nil && p.serial != "":
			t.Errorf("%s has got its key, and gets it again", id)
		case err == nil && got.Key == nil:
			t.Errorf("%s has got no key", id)
		case err == nil:
			had = "had no key yet"
		case p.serial != "":
			had = "had its key"
		}
		if _, err := n.desk.Enroll(t.Context(), r); err == nil || enroll.AsRefusal(err).Code != "EnrollmentDelivered" {
			t.Errorf("%s comes for its key twice: %v", id, err)
		}
		return had
	}
	der, err := os.ReadFile(filepath.Join(n.dir, "keys", id))
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	for i, who := range []crypto.Signer{key.(crypto.Signer), newKey(t)} {
		if r.CSR, err = signed(id, who); err != nil {
			t.Fatal(err)
		}
		got, err := n.desk.Enroll(t.Context(), r)
		switch {
		case i == 1 && (err == nil || enroll.AsRefusal(err).Status != 409):
			t.Errorf("%s: somebody with another key gets %v", id, err)
		case i == 0 && err != nil:
			t.Errorf("%s does not get its certificate: %v", id, err)
		case i == 0 && p.serial != "" && (!got.Again || dn.Serial(got.Chain[0].SerialNumber) != p.serial):
			t.Errorf("%s had %s, and gets another certificate", id, p.serial)
		}
		if i == 0 && err == nil && sha256.Sum256(got.Chain[0].RawSubjectPublicKeyInfo) != [32]byte(keyOf(t, who)) {
			t.Errorf("%s gets the certificate of another key", id)
		}
	}
	if p.serial != "" {
		return "had its certificate"
	}
	return "had none"
}

func keyOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	return sum[:]
}

// unlisted are those that are on no list.
func (n *node) unlisted(t *testing.T, serials map[string]bool) (missing []string) {
	t.Helper()
	lists, err := n.authority.Lists()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, e := range lists.Issuing.RevokedCertificateEntries {
		listed[dn.Serial(e.SerialNumber)] = true
	}
	for serial := range serials {
		if !listed[serial] {
			missing = append(missing, serial)
		}
	}
	return missing
}
