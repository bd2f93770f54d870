package device_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign.dev/client/device"
)

// patience is how long a test waits for what must happen before it fails.
const patience = 30 * time.Second

// A rig is a countersign that serves, with its operator.
type rig struct {
	t       *testing.T
	program string
	dir     string
	address map[string]string // bound, by listener; "" is the admin address
	roots   *x509.CertPool
}

const rigConfig = `node: {admin: 127.0.0.1:0, data_dir: data}
devices:
  id: {form: mac, pattern: "^MacID-(.+)$"}
  bootstrap: "00:00:00:00:00:00"
  initialize: {path: /hello, retry_after: 1s}
  authority: fleet
authorities: [{name: fleet, dir: pki, est: true}]
listeners:
  - name: devices
    address: 127.0.0.1:0
    protocol: https
    certificates: {cert: server.crt, key: server.key}
    client_auth: {mode: verify, trust_store: fleet}
    devices: enforce
    identity_headers: aws
    default: {forward: api}
trust_stores: [{name: fleet, ca_bundle: pki/ca.crt}]
target_groups: [{name: api, targets: "BACKEND"}]
`

var listens = regexp.MustCompile(`msg="?listening(?: for operators"| listener=(\S+)) address=\S+ bound=(\S+)`)

// serve builds the program, makes an authority and starts a gateway.
func serve(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), address: map[string]string{}, roots: x509.NewCertPool()}
	r.program = filepath.Join(r.dir, "countersign")
	if out, err := exec.Command("go", "build", "-o", r.program, "../../cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	r.run("ca", "init", "pki")
	r.run("ca", "issue", "pki", "server", "--profile", "server", "--san", "dns:localhost", "--san", "ip:127.0.0.1")
	r.run("ca", "issue", "pki", "bootstrap", "--profile", "bootstrap", "--subject", "CN=MacID-00:00:00:00:00:00")
	root, err := os.ReadFile(filepath.Join(r.dir, "pki", "root.crt"))
	if err != nil || !r.roots.AppendCertsFromPEM(root) {
		t.Fatalf("the root: %v", err)
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprint(w, q.Header.Get("X-Amzn-Mtls-Clientcert-Serial-Number"))
	}))
	t.Cleanup(backend.Close)
	config := strings.ReplaceAll(rigConfig, "BACKEND", strings.TrimPrefix(backend.URL, "http://"))
	if err := os.WriteFile(filepath.Join(r.dir, "countersign.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(r.program, "serve", "-c", "countersign.yaml")
	cmd.Dir = r.dir
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	ready, reading := make(chan struct{}), sync.WaitGroup{}
	reading.Go(func() {
		served := sync.OnceFunc(func() { close(ready) })
		defer served()
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if m := listens.FindStringSubmatch(lines.Text()); m != nil && len(r.address) < 2 {
				if r.address[m[1]] = m[2]; len(r.address) == 2 {
					served()
				}
			}
		}
	})
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the gateway ends with %v\n%s", err, &said)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("the gateway does not serve")
	}
	return r
}

// run is a command of an operator.
func (r *rig) run(args ...string) {
	cmd := exec.Command(r.program, args...)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Errorf("countersign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (r *rig) operate(verb, id string, more ...string) {
	r.run(append([]string{"device", verb, id, "-c", "countersign.yaml", "--address", r.address[""]}, more...)...)
}

func (r *rig) url() string { return "https://" + r.address["devices"] }

func (r *rig) pair(name string) tls.Certificate {
	r.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(r.dir, name+".crt"), filepath.Join(r.dir, name+".key"))
	if err != nil {
		r.t.Fatal(err)
	}
	return pair
}

// asks sends a request as the device and returns the serial number that the backend
// was told; "" if it was not asked.
func (r *rig) asks(c *http.Client) (status int, serial string) {
	r.t.Helper()
	response, err := c.Get(r.url() + "/telemetry")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, ""
	}
	return response.StatusCode, string(body)
}

func serialOf(c *device.Credential) string {
	text := fmt.Sprintf("%X", c.Leaf().SerialNumber)
	if len(text)%2 == 1 {
		text = "0" + text
	}
	return text
}

func TestADeviceEnrollsAndRenewsAtAGateway(t *testing.T) {
	r := serve(t)
	const id = "AA:BB:CC:00:00:01"
	secret := filepath.Join(r.dir, "secret")
	if err := os.WriteFile(secret, []byte("on-the-label-of-it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := device.Config{URL: r.url(), RootCAs: r.roots, Certificate: r.pair("bootstrap"), DeviceID: "aabb.cc00.0001",
		Claim: "on-the-label-of-it", Key: freshKey(t), Path: "/hello", Label: "fleet", Timeout: patience}

	// Nobody knows it.
	if _, err := device.Enroll(t.Context(), cfg); device.CodeOf(err) != "DeviceNotProvisioned" {
		t.Fatalf("%v", err)
	}
	// It waits until the operator is done.
	r.operate("add", id)
	waits := cfg
	var once sync.Once
	waits.Waiting = func(why *device.Problem, _ time.Duration) {
		if why.Code != "DeviceNotReady" || why.RetryAfter != time.Second {
			t.Errorf("it waits because of %v", why)
		}
		once.Do(func() { r.operate("claim", id, "--secret-file", secret); r.operate("ready", id) })
	}
	own, err := device.Enroll(t.Context(), waits)
	if err != nil {
		t.Fatal(err)
	}
	if got := own.Leaf().Subject.CommonName; got != "MacID-"+id {
		t.Errorf("a certificate for %q", got)
	}
	// It was interrupted: the same key gets the same certificate, another key none.
	again, err := device.Initialize(t.Context(), cfg)
	if err != nil || !again.Leaf().Equal(own.Leaf()) {
		t.Errorf("%v", err)
	}
	other := cfg
	other.Key = freshKey(t)
	if _, err := device.Initialize(t.Context(), other); device.CodeOf(err) != "EnrollmentKeyConflict" {
		t.Errorf("another key: %v", err)
	}

	// It is served, and a renewal takes effect with the next connection.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots, GetClientCertificate: own.Certificate}}
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: patience}
	first := serialOf(own)
	if status, serial := r.asks(c); status != 200 || serial != first {
		t.Fatalf("%d, as %q, want %q", status, serial, first)
	}
	before := own.Leaf().PublicKey.(*ecdsa.PublicKey)
	if err := own.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if serialOf(own) == first || before.Equal(own.Leaf().PublicKey) {
		t.Error("the certificate or the key is the one from before")
	}
	if _, serial := r.asks(c); serial != first {
		t.Errorf("the connection from before is known as %q", serial)
	}
	transport.CloseIdleConnections()
	if status, serial := r.asks(c); status != 200 || serial != serialOf(own) {
		t.Errorf("%d, as %q, want %q", status, serial, serialOf(own))
	}

	// It is switched off and on.
	file := filepath.Join(r.dir, "own.pem")
	text, err := own.PEM()
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	kept := cfg
	if kept.Certificate, err = tls.LoadX509KeyPair(file, file); err != nil {
		t.Fatal(err)
	}
	own, err = device.New(kept)
	if err == nil {
		err = own.Renew(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}

	// Revoked, it renews nothing, and what it has stays in place.
	r.operate("revoke", id, "--why", "stolen")
	last := own.Leaf()
	err = own.Renew(t.Context())
	if p, ok := errors.AsType[*device.Problem](err); !ok || p.Status != http.StatusForbidden {
		t.Errorf("a revoked device: %v", err)
	}
	if !own.Leaf().Equal(last) {
		t.Error("after a refusal the device has another certificate")
	}
}
