package layer4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
	"countersign.dev/test/gateway"
)

// A broker is Mosquitto.
type broker struct {
	address string
	mu      sync.Mutex
	log     bytes.Buffer
}

func (b *broker) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *broker) said(what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.log.String(), what)
}

// mosquitto runs Mosquitto, with TLS where root says whose certificates it demands.
func mosquitto(t *testing.T, web, root *testpki.Certificate) *broker {
	t.Helper()
	program := testrequire.Program(t, "mosquitto")
	b := &broker{address: testport.For(t)}
	_, port, _ := net.SplitHostPort(b.address)
	dir := t.TempDir()
	text := "listener " + port + " 127.0.0.1\nallow_anonymous true\nlog_dest stderr\nlog_type all\n"
	if os.Getuid() == 0 {
		text += "user root\n" // files of the test are its own
	}
	if root != nil {
		web.Server("localhost").Write(dir, "broker")
		testpki.WriteFile(t, filepath.Join(dir, "ca.crt"), root.PEM())
		text += fmt.Sprintf("cafile %[1]s/ca.crt\ncertfile %[1]s/broker.crt\nkeyfile %[1]s/broker.key\nrequire_certificate true\nuse_identity_as_username true\n", dir)
	}
	file := filepath.Join(dir, "mosquitto.conf")
	testpki.WriteFile(t, file, []byte(text))
	cmd := exec.Command(program, "-c", file)
	cmd.Stderr = b
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	until(t, "Mosquitto listens", func() bool {
		conn, err := net.Dial("tcp", b.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return b
}

// An mqtt is a session of MQTT 3.1.1 over some connection.
type mqtt struct {
	t    testing.TB
	conn net.Conn
}

// connect begins a session (section 3.1).
func connect(t testing.TB, conn net.Conn, id string) *mqtt {
	t.Helper()
	rest := "\x00\x04MQTT\x04\x02\x00\x3c\x00" + string(rune(len(id))) + id
	if _, err := io.WriteString(conn, "\x10"+string(rune(len(rest)))+rest); err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 4)
	if _, err := io.ReadFull(conn, ack); err != nil || !bytes.Equal(ack, []byte{0x20, 2, 0, 0}) {
		t.Fatalf("%s: CONNACK % x, %v", id, ack, err)
	}
	return &mqtt{t, conn}
}

// ping proves that the session lives (section 3.12).
func (m *mqtt) ping() error {
	if _, err := io.WriteString(m.conn, "\xc0\x00"); err != nil {
		return err
	}
	pong := make([]byte, 2)
	_, err := io.ReadFull(m.conn, pong)
	if err == nil && !bytes.Equal(pong, []byte{0xd0, 0}) {
		err = fmt.Errorf("% x in the place of PINGRESP", pong)
	}
	return err
}

func passing(protocol, auth, group string) string {
	return `
node: {admin: off}
logs: {connection: {path: "-", format: json}}
listeners:
  - name: mqtt
    address: 127.0.0.1:0
    protocol: ` + protocol + `
` + auth + `    default: {forward: broker}
` + group
}

const verifying = "    certificates: {cert: server.crt, key: server.key}\n    client_auth: {mode: verify, trust_store: fleet}\n"

const fleet = "trust_stores: [{name: fleet, ca_bundle: ca.crt, revocation: {crls: revoked.crl}}]\n"

func TestARevokedClientsSessionEndsAndTheBrokerSeesIt(t *testing.T) {
	g := gateway.New(t)
	b := mosquitto(t, g.Web, nil)
	g.Write("revoked.crl", testpki.CRLPEM(g.Fleet.CRL(testpki.CRLNumber(1))))
	g.Start(passing("tls", verifying, fleet+`target_groups: [{name: broker, protocol: tcp, targets: "`+b.address+`"}]`))
	certs := []*testpki.Certificate{g.Fleet.Client("MacID-1"), g.Fleet.Client("MacID-2")}
	var sessions []*mqtt
	for i, cert := range certs {
		conn, err := dial(t, g, g.Address("127.0.0.1:0"), cert)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, connect(t, conn, fmt.Sprint("device-", i+1)))
	}
	g.Reload("revoked.crl", testpki.CRLPEM(g.Fleet.CRL(testpki.CRLNumber(2), testpki.Revoke(certs[0]))))
	if n, err := sessions[0].conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the session of a revoked client goes on: %d bytes, %v", n, err)
	}
	until(t, "the broker sees the end of the session", func() bool {
		return b.said("Client device-1 closed its connection") || b.said("Client device-1 disconnected") || b.said("Socket error on client device-1")
	})
	for range 3 {
		if err := sessions[1].ping(); err != nil {
			t.Errorf("the other session has ended, too: %v", err)
		}
	}
	if conn, err := dial(t, g, g.Address("127.0.0.1:0"), certs[0]); err == nil {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a revoked client comes back")
		}
	}
}

// Through a tcp listener the client and the broker speak TLS with each other.
func TestMosquittoSeesItsClientThroughATCPListener(t *testing.T) {
	g := gateway.New(t)
	b := mosquitto(t, g.Web, g.Fleet)
	g.Start(passing("tcp", "", `target_groups: [{name: broker, protocol: tcp, targets: "`+b.address+`"}]`))
	conn, err := dial(t, g, g.Address("127.0.0.1:0"), g.Fleet.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(t, conn, "device-1").ping(); err != nil {
		t.Error(err)
	}
	if !b.said("u'MacID-1'") {
		t.Error("the broker does not know the client by its certificate")
	}
}

// The broker knows the gateway by its certificate, and the gateway the client. Its health check
// is the same handshake.
func TestMosquittoSeesTheGatewayBehindATLSGroup(t *testing.T) {
	g := gateway.New(t)
	gateways := testpki.NewRoot(t, "Gateways")
	b := mosquitto(t, g.Web, gateways)
	own := gateways.Client("gateway")
	g.Write("gateway.crt", testpki.PEM(own.Chain()...))
	g.Write("gateway.key", own.KeyPEM())
	g.Write("web.crt", g.Web.PEM())
	g.Write("revoked.crl", testpki.CRLPEM(g.Fleet.CRL(testpki.CRLNumber(1))))
	health := make(chan bool, 10)
	g.OnHealth = func(_ string, healthy bool) { health <- healthy }
	g.Start(passing("tls", verifying, fleet+`target_groups:
  - name: broker
    protocol: tls
    targets: "`+b.address+`"
    fail_open: false
    health_check: {interval: 200ms}
    tls: {ca_bundle: web.crt, server_name: localhost, certificate: {cert: gateway.crt, key: gateway.key}}
`))
	select {
	case healthy := <-health:
		if !healthy {
			t.Fatal("the broker is not healthy")
		}
	case <-time.After(gateway.Patience):
		t.Fatal("no check has ended")
	}
	conn, err := dial(t, g, g.Address("127.0.0.1:0"), g.Fleet.Client("MacID-1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(t, conn, "device-1").ping(); err != nil {
		t.Error(err)
	}
	if !b.said("u'gateway'") {
		t.Error("the broker does not know the gateway by its certificate")
	}
	stranger, err := dial(t, g, g.Address("127.0.0.1:0"), gateways.Client("gateway"))
	if err == nil {
		_, err = stranger.Read(make([]byte, 1))
	}
	if err == nil {
		t.Error("whoever has the broker's own certificates comes through the gateway")
	}
}
