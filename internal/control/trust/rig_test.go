package trust_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev/client"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/trust"
	"countersign.dev/internal/control/trust/seen"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/forward/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const configuration = `
node: {admin: off, data_dir: data}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

// withLists also has the trust store look at revocation lists.
var withLists = strings.Replace(configuration, "ca_bundle: [ca.crt]", "ca_bundle: [ca.crt]\n    revocation: {crls: [fleet.crl]}", 1)

// A rig is a node with everything real, and a Desk for it.
type rig struct {
	*trust.Desk
	t         testing.TB
	dir       string
	server    *testpki.Certificate
	node      *traffic.Node
	publisher *publish.Publisher
	fleet     *upstream.Fleet
	backend   *httptest.Server
	witness   seen.Witness
}

// start serves config with that CA bundle.
func start(t testing.TB, config string, bundle ...*testpki.Certificate) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), server: testpki.NewRoot(t, "Web CA").Server("localhost")}
	r.backend = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") }))
	t.Cleanup(r.backend.Close)
	r.server.Write(r.dir, "server")
	r.file("ca.crt", pem(bundle...))
	r.file("fleet.crl", testpki.CRLPEM(bundle[0].CRL(testpki.CRLNumber(1))))
	r.file("countersign.yaml", []byte(strings.ReplaceAll(config, "BACKEND", r.backend.Listener.Addr().String())))
	r.boot()
	t.Cleanup(r.stop)
	return r
}

func (r *rig) file(name string, data []byte) {
	testpki.WriteFile(r.t, filepath.Join(r.dir, name), data)
}

// boot is how the program starts, as far as trust is concerned.
func (r *rig) boot() {
	r.t.Helper()
	r.fleet = upstream.NewFleet(upstream.FleetConfig{})
	r.node = traffic.New(traffic.Config{Witness: &r.witness})
	var err error
	r.publisher, err = publish.NewPublisher(publish.PublisherConfig{Path: filepath.Join(r.dir, "countersign.yaml"),
		Node: r.node, Fleet: r.fleet, Metrics: telemetry.NewMetrics(telemetry.MetricsConfig{}), Stdout: io.Discard})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.publisher.Publish(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	memory, err := seen.Open(seen.Config{Dir: filepath.Join(r.dir, "data", "seen")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.witness.Use(memory)
	r.Desk = trust.New(trust.Config{Publisher: r.publisher, Node: r.node, Seen: &r.witness})
}

func (r *rig) stop() {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	r.node.Drain(over)
	if m := r.witness.Use(nil); m != nil {
		m.Close()
	}
	r.fleet.Close(context.Background())
	r.publisher.Close(context.Background())
}

// again stops the node and starts it anew.
func (r *rig) again() {
	r.t.Helper()
	r.stop()
	r.boot()
}

// A visit is a client's connection.
type visit struct {
	*http.Transport
	client *http.Client
	url    string
}

// comes connects a client, which stays.
func (r *rig) comes(c *testpki.Certificate) *visit {
	r.t.Helper()
	return r.comesTo("127.0.0.1:0", c)
}

// comesTo is comes to the listener with that address.
func (r *rig) comesTo(address string, c *testpki.Certificate) *visit {
	r.t.Helper()
	v := r.visit(address, c)
	if err := v.ask(); err != nil {
		r.t.Fatalf("%s: %v", c.X509.Subject, err)
	}
	return v
}

// try is comes for one that may be refused.
func (r *rig) try(c *testpki.Certificate) error { return r.visit("127.0.0.1:0", c).ask() }

func (r *rig) visit(address string, c *testpki.Certificate) *visit {
	shown := c.TLS()
	v := &visit{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }}},
		url: "https://" + r.node.Addresses()[address].String() + "/"}
	v.client = &http.Client{Transport: v.Transport}
	r.t.Cleanup(v.CloseIdleConnections)
	return v
}

func (v *visit) ask() error {
	response, err := v.client.Get(v.url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// leave waits until the node knows that nobody is there any more.
func (r *rig) leave(visits ...*visit) {
	r.t.Helper()
	for _, v := range visits {
		v.CloseIdleConnections()
	}
	r.until(0, "connections are there", r.node.Connections)
}

// remembered waits until so many are, since that happens in the background.
func (r *rig) remembered(n int) {
	r.t.Helper()
	r.until(n, "clients are remembered", func() int { return r.witness.Memory().Len() })
}

// until waits for what there is no event for.
func (r *rig) until(want int, what string, count func() int) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); count() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%d %s, want %d", count(), what, want)
		}
	}
}

func pem(certs ...*testpki.Certificate) (all []byte) {
	for _, c := range certs {
		all = append(all, c.PEM()...)
	}
	return all
}

// stage stages content and returns what would become of clients.
func (r *rig) stage(content []byte) *client.Diff {
	r.t.Helper()
	if _, err := r.Stage(r.t.Context(), "fleet", "", content); err != nil {
		r.t.Fatal(err)
	}
	return r.diff()
}

func (r *rig) diff() *client.Diff {
	r.t.Helper()
	d, err := r.Diff(r.t.Context(), "fleet", 100)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) commit(refuse int) *client.Commit {
	r.t.Helper()
	c, err := r.Commit(r.t.Context(), "fleet", refuse)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// refusedWith fails the test unless err is a Refusal with that code and words.
func (r *rig) refusedWith(err error, code trust.Code, words ...string) {
	r.t.Helper()
	refusal, ok := err.(*trust.Refusal)
	if !ok || refusal.Code != code {
		r.t.Fatalf("error %v, want a refusal with code %s", err, code)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			r.t.Errorf("the refusal %q does not say %q", err, w)
		}
	}
}

func names(clients []client.DiffClient) string {
	var all []string
	for _, c := range clients {
		all = append(all, strings.TrimPrefix(c.Subject, "CN="))
	}
	return strings.Join(all, " ")
}

// anchor is the entry about a certificate.
func anchor(t *testing.T, d *client.Diff, c *testpki.Certificate) client.DiffAnchor {
	t.Helper()
	for _, a := range d.Anchors {
		if strings.EqualFold(a.Serial, strings.TrimLeft(c.X509.SerialNumber.Text(16), "0")) || strings.EqualFold(a.Serial, "0"+c.X509.SerialNumber.Text(16)) {
			return a
		}
	}
	t.Fatalf("the diff has no anchor %s", c.X509.Subject)
	return client.DiffAnchor{}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
