package backend_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"countersign.dev"
	"countersign.dev/backend"
	"countersign.dev/internal/control/signing"
	"countersign.dev/internal/testpki"
	"countersign.dev/test/gateway"
)

const interopConfig = `
node: {admin: off}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: optional, trust_store: fleet}
    server_names: [{names: [shown.test], client_auth: {mode: passthrough}}]
    identity_headers: [%s]
    default: {forward: api}
trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
target_groups:
  - {name: api, targets: ["%s"], protocol: %s}
`

// A gateway tells a handler of a client in every dialect, and the handler knows
// who that is: the same in each.
func TestEveryDialectOfAGatewayTellsTheSame(t *testing.T) {
	keys, err := signing.Open(signing.Config{})
	if err != nil {
		t.Fatal(err)
	}
	jwks := httptest.NewServer(signing.Publication{Set: keys.Public})
	t.Cleanup(jwks.Close)
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for _, protocol := range []string{"http", "h2"} {
		for _, dialect := range []backend.Dialect{backend.Token, backend.AWS, backend.Nginx, backend.RFC9440, backend.XFCC, backend.Traefik} {
			t.Run(string(dialect)+" by "+protocol, func(t *testing.T) {
				cfg := backend.Config{Dialect: dialect, Anonymous: true, Unverified: true}
				if dialect == backend.Token {
					cfg.Audience, cfg.Keys = "api", []string{jwks.URL}
				} else {
					cfg.Peers, cfg.Verifies = loopback, true
				}
				v, err := backend.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				target := httptest.NewUnstartedServer(v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					json.NewEncoder(w).Encode(backend.Identity(r.Context()))
				})))
				target.Config.Protocols = new(http.Protocols)
				target.Config.Protocols.SetHTTP1(true)
				target.Config.Protocols.SetUnencryptedHTTP2(true)
				target.Start()
				t.Cleanup(target.Close)
				g := gateway.New(t)
				g.Tokens = keys
				device := g.Fleet.Client("MacID-1, \"Ä\"", testpki.DNS("d1.example.com"), testpki.URI("spiffe://fleet/d1"))
				g.Start(fmt.Sprintf(interopConfig, dialect, target.Listener.Addr(), protocol))
				address := g.Address("127.0.0.1:0")

				c := ask(t, g, address, "localhost", device)
				want := countersign.Identity{
					Issuer: "CN=Fleet Root", Fingerprint: c.Fingerprint, NotBefore: device.X509.NotBefore, NotAfter: device.X509.NotAfter,
					Subject: `CN=MacID-1\, \"\C3\84\"`, Serial: c.Serial,
					CommonNames: []string{`MacID-1, "Ä"`}, DNSNames: []string{"d1.example.com"}, URIs: []string{"spiffe://fleet/d1"},
				}
				if diff := cmp.Diff(want, c.Identity, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || !c.Verified || c.Anonymous() || c.Serial == "" {
					t.Errorf("verified %v\n%s", c.Verified, diff)
				}
				if c := ask(t, g, address, "localhost", nil); !c.Anonymous() || c.Verified {
					t.Errorf("an anonymous client is %+v", c)
				}
				if dialect == backend.RFC9440 { // has no word for it
					return
				}
				if c := ask(t, g, address, "shown.test", device); c.Verified || c.Anonymous() || c.Subject != "" || c.Fingerprint != want.Fingerprint {
					t.Errorf("a client that passes through is %+v", c)
				}
			})
		}
	}
}

// ask has the handler say whom it sees; nil is nobody.
func ask(t *testing.T, g *gateway.Gateway, address, host string, device *testpki.Certificate) *backend.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: g.Web.Pool(), ServerName: host, InsecureSkipVerify: host != "localhost"}
	if device != nil {
		cfg.Certificates = []tls.Certificate{device.TLS()}
	}
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), gateway.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", "https://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	// What clients make up is not what the handler sees.
	for _, name := range []string{"X-Client-Identity-Token", "X_Client.Identity_Token", "Client-Cert", "X-Forwarded-Client-Cert", "X-SSL-Client-Verify", "X-Amzn-Mtls-Clientcert-Leaf", "X-Forwarded-Tls-Client-Cert"} {
		r.Header.Set(name, "forged")
	}
	resp, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %s, %v", resp.StatusCode, body, err)
	}
	var c backend.Client
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return &c
}
