package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
)

const sharedConfigText = `node: {admin: "127.0.0.1:0", data_dir: data, store: "file:url"}
devices: {id: {form: mac}}
listeners:
  - {name: plain, address: "127.0.0.1:0", protocol: http, default: {forward: app}}
target_groups:
  - {name: app, targets: ["127.0.0.1:9"]}
`

// sharing starts a gateway with a directory of its own on the database at store.
func sharing(t *testing.T, store string) (*client.Client, *lockedBuffer, error) {
	t.Helper()
	return sharingIn(t, t.TempDir(), sharedConfigText, store)
}

// sharingIn is sharing with the configuration text in dir.
func sharingIn(t *testing.T, dir, text, store string) (*client.Client, *lockedBuffer, error) {
	t.Helper()
	log := new(lockedBuffer)
	err := errors.Join(os.WriteFile(filepath.Join(dir, "url"), []byte(store+"\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "countersign.yaml"), []byte(text), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(gatewayConfig{File: filepath.Join(dir, "countersign.yaml"), Out: io.Discard, Err: log, Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.start(t.Context()); err != nil {
		return nil, log, errors.Join(err, g.stop())
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	bound := regexp.MustCompile(operators).FindStringSubmatch(log.String())
	if bound == nil {
		t.Fatalf("the log has no admin address:\n%s", log)
	}
	c, err := client.New(client.Config{Address: bound[1], TokenFile: filepath.Join(dir, "data", "api.token"), Timeout: wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, log, nil
}

func TestNodesShareTheirDevicesInPostgreSQL(t *testing.T) {
	server := testrequire.PostgreSQL(t)
	one, _, err := sharing(t, server)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := sharing(t, server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.AddDevice(t.Context(), client.NewDevice{ID: "001a2b3c4d5e", Labels: map[string]string{"site": "a"}}); err != nil {
		t.Fatal(err)
	}
	report, err := two.ImportDevices(t.Context(), strings.NewReader("id,label.site\n00-1a-2b-3c-4d-5e,b\n001a2b3c4d5f,b\n"), client.DeviceImport{Format: "csv"})
	if err != nil || report.Created != 1 || report.Updated != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if _, err := one.ChangeDevice(t.Context(), "001a2b3c4d5f", "retire", "broken"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for d, err := range two.Devices(t.Context(), client.DeviceFilter{Labels: map[string]string{"site": "b"}}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[d.ID] = d.State
	}
	if len(seen) != 2 || seen["00:1A:2B:3C:4D:5E"] != "provisioned" || seen["00:1A:2B:3C:4D:5F"] != "retired" {
		t.Errorf("the other node has %v", seen)
	}
	f, err := two.Device(t.Context(), "001a2b3c4d5e")
	if err != nil || len(f.Trail) != 2 || f.TrailFault != "" || f.Trail[1].Detail != "label site=b, was a" || time.Since(f.Trail[1].At) > wait {
		t.Errorf("%+v, %v", f, err)
	}
}

// What is known of targets is told by the management API, group by group.
func TestTheTargetsInForceAreTold(t *testing.T) {
	node, _, err := sharingIn(t, t.TempDir(), strings.Replace(sharedConfigText, `, store: "file:url"`, "", 1), "")
	if err != nil {
		t.Fatal(err)
	}
	for group, want := range map[string]int{"": 1, "app": 1, "other": 0} {
		n := 0
		for target, err := range node.Targets(t.Context(), group) {
			if err != nil || target.TargetGroup != "app" || target.Address != "127.0.0.1:9" || target.State == "" {
				t.Fatalf("%+v, %v", target, err)
			}
			n++
		}
		if n != want {
			t.Errorf("%d targets of group %q, want %d", n, group, want)
		}
	}
}

const enforcedConfigText = `node: {admin: "127.0.0.1:0", data_dir: data, store: "file:url"}
devices: {}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: {cert: server.crt, key: server.key}
    client_auth: {mode: verify, trust_store: fleet}
    devices: enforce
    default: {forward: app}
trust_stores: [{name: fleet, ca_bundle: root.crt}]
target_groups: [{name: app, targets: ["BACKEND"]}]
`

// T29: a revocation ends the live connections of a device at every node, whichever
// was told of it, and nobody else's.
func TestARevokedDeviceLosesItsConnectionsAtEveryNode(t *testing.T) {
	server := testrequire.PostgreSQL(t)
	backend := httptest.NewServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) {}))
	t.Cleanup(backend.Close)
	root := testpki.NewRoot(t, "Fleet Root")
	web := root.Server("localhost", testpki.DNS("localhost"))
	stolen, other := root.Client("gate7"), root.Client("gate8")

	var nodes []*client.Client
	var lost, kept []*tls.Conn
	for range 2 {
		dir := t.TempDir()
		web.Write(dir, "server")
		root.Write(dir, "root")
		node, log, err := sharingIn(t, dir, strings.Replace(enforcedConfigText, "BACKEND", backend.Listener.Addr().String(), 1), server)
		if err != nil {
			t.Fatal(err)
		}
		if len(nodes) == 0 {
			for _, id := range []string{"gate7", "gate8"} {
				if _, err := node.AddDevice(t.Context(), client.NewDevice{ID: id, State: "active"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		nodes = append(nodes, node)
		address := regexp.MustCompile(`listener=devices .*bound=(\S+)`).FindStringSubmatch(log.String())
		if address == nil {
			t.Fatalf("the log has no address of the listener:\n%s", log)
		}
		lost, kept = append(lost, connected(t, address[1], root, stolen)), append(kept, connected(t, address[1], root, other))
	}
	if _, err := nodes[0].ChangeDevice(t.Context(), "gate7", "revoke", "stolen"); err != nil {
		t.Fatal(err)
	}
	for i, conn := range lost {
		conn.SetReadDeadline(time.Now().Add(wait))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("node %d: the device's connection is not closed: %d, %v", i+1, n, err)
		}
	}
	for i, conn := range kept {
		if status, err := asked(conn); status != 200 {
			t.Errorf("node %d: the other device gets %d, %v", i+1, status, err)
		}
	}
}

// connected returns a connection on which a request was answered.
func connected(t *testing.T, address string, root, c *testpki.Certificate) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: root.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{c.TLS()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if status, err := asked(conn); status != 200 {
		t.Fatalf("%s gets %d, %v", c.X509.Subject, status, err)
	}
	return conn
}

func asked(conn *tls.Conn) (status int, err error) {
	conn.SetDeadline(time.Now().Add(wait))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		return 0, err
	}
	answer, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func TestANodeDoesNotStartWithoutItsStore(t *testing.T) {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("ann", "hunter2"), Path: "/fleet", RawQuery: url.Values{"host": {t.TempDir()}}.Encode()}
	_, log, err := sharing(t, u.String())
	if err == nil || !strings.Contains(err.Error(), "node.store") || !strings.Contains(err.Error(), "look whether postgres://ann@") {
		t.Errorf("the start ends with %v", err)
	}
	if err != nil && strings.Contains(err.Error()+log.String(), "hunter2") {
		t.Errorf("the password is told: %v\n%s", err, log)
	}
}
