package traffic_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	inventory "countersign.dev/internal/control/device"
	"countersign.dev/internal/control/device/mirror"
	"countersign.dev/internal/store"
	"countersign.dev/internal/store/postgres"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testport"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic"
)

const deviceConfig = `
node: {admin: off, data_dir: data}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [aws]
    devices: enforce
    default: {forward: app}
trust_stores:
  - name: fleet
    ca_bundle: [ca.crt]
devices:
  id: {form: mac, pattern: "^MacID-(.+)$"}
  bootstrap: "00:00:00:00:00:00"
target_groups:
  - {name: app, targets: ["BACKEND"]}
`

var annotated = with(deviceConfig, "devices: enforce", "devices: annotate")

const (
	mac      = "AA:BB:CC:00:00:01"
	otherMAC = "AA:BB:CC:00:00:02"
)

// A fleet is a rig with a registry of devices.
type fleet struct {
	*rig
	store    *store.Store
	registry *inventory.Registry
	mirror   *mirror.Mirror
	away     atomic.Bool // the node does not reach the store
}

func (f *fleet) Standings(ctx context.Context, ids []string) ([]store.Standing, error) {
	if f.away.Load() {
		return nil, errors.New("connection refused")
	}
	return f.store.Standings.Standings(ctx, ids)
}

func startFleet(t testing.TB, config string) *fleet {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	return startFleetOn(t, s, echo(t), config)
}

// startFleetOn takes the store over.
func startFleetOn(t testing.TB, s *store.Store, backend, config string) *fleet {
	t.Helper()
	m := mirror.New(mirror.Config{Every: 20 * time.Millisecond})
	f := &fleet{rig: startWith(t, backend, config, traffic.Config{Devices: m}), store: s, mirror: m,
		registry: inventory.New(inventory.Config{Store: s, IDs: inventory.IDs{Form: inventory.FormMAC}})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		m.Follow(ctx, mirror.Source{Standings: f, Changes: s.Changes, Sightings: s.Sightings, Suspect: f.node.SuspectDevices})
	})
	t.Cleanup(func() { cancel(); running.Wait(); s.Close() })
	return f
}

func (f *fleet) add(id string, state countersign.State) {
	f.t.Helper()
	if _, err := f.registry.Add(f.t.Context(), inventory.Author{Who: "ann"}, countersign.Device{ID: id, State: state}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) do(verb, id string) {
	f.t.Helper()
	if _, err := f.registry.Do(f.t.Context(), inventory.Author{Who: "ann", Why: "test"}, verb, id); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) device(id string) *testpki.Certificate { return f.root.Client("MacID-" + id) }

// ask is a request on a connection of its own, over each version of HTTP.
func (f *fleet) ask(cert *testpki.Certificate, check func(status int, refused func(status int, code string))) {
	f.t.Helper()
	c := f.dial(cert)
	p := c.get()
	check(p.StatusCode, func(status int, code string) { f.t.Helper(); p.refused(f.t, status, code) })
	c.conn.Close()
	c2 := f.dial2(cert)
	p2 := c2.get()
	check(p2.status, func(status int, code string) { f.t.Helper(); p2.refused(f.t, status, code) })
	c2.conn.Close()
}

// answers asks until the answer is that one: a change takes a moment to be known.
func (f *fleet) answers(cert *testpki.Certificate, status int, code string) {
	f.t.Helper()
	f.until("the device is answered otherwise than "+code, func() bool {
		c := f.dial(cert)
		defer c.conn.Close()
		if _, err := io.WriteString(c.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			return false
		}
		res, err := nethttp.ReadResponse(c.in, nil)
		if err != nil {
			return false // the change has ended the connection
		}
		body, err := io.ReadAll(res.Body)
		return err == nil && res.StatusCode == status && strings.Contains(string(body), code)
	})
	f.ask(cert, func(got int, refused func(int, string)) {
		f.t.Helper()
		if code != "" {
			refused(status, code)
		} else if got != status {
			f.t.Errorf("got %d, want %d", got, status)
		}
	})
}

func TestADeviceIsServedByItsState(t *testing.T) {
	f := startFleet(t, deviceConfig)
	device := f.device(strings.ReplaceAll(strings.ToLower(mac), ":", "-")) // in another spelling
	answers := map[countersign.State]struct {
		status int
		code   string
	}{
		countersign.DeviceProvisioned: {403, "DeviceNotActive"},
		countersign.DeviceReady:       {403, "DeviceNotActive"},
		countersign.DeviceActive:      {200, ""},
		countersign.DeviceSuspended:   {403, "DeviceSuspended"},
		countersign.DeviceRevoked:     {403, "DeviceRevoked"},
		countersign.DeviceRetired:     {403, "DeviceRetired"},
	}
	f.answers(device, 404, "DeviceNotProvisioned")
	for i, state := range countersign.States() {
		id := "AA:BB:CC:00:01:0" + string(rune('0'+i))
		want := answers[state]
		f.add(id, state)
		f.answers(f.device(id), want.status, want.code)
	}
	f.add(mac, "")
	f.answers(device, 403, "DeviceNotActive")
	f.do("ready", mac)
	f.do("activate", mac)
	f.answers(device, 200, "")
	f.answers(f.device("00-00-00-00-00-00"), 403, "DeviceBootstrap")
	f.answers(f.root.Client("Workstation 7"), 403, "DeviceUnnamed")
	f.answers(f.root.Client("MacID-AA:BB"), 403, "DeviceUnnamed")
	f.journal.wait(t, event{"event": "access", "denial_code": "DeviceNotProvisioned", "denial_stage": "authorize"})
}

func TestDevicesAreSeen(t *testing.T) {
	f := startFleet(t, deviceConfig)
	f.add(mac, countersign.DeviceSuspended) // it is there, served or not
	f.add(otherMAC, countersign.DeviceActive)
	f.dial(f.device(mac)).get().refused(t, 403, "DeviceSuspended")
	f.until("the device was seen", func() bool {
		d, err := f.store.Devices.Device(t.Context(), mac)
		if err != nil {
			t.Fatal(err)
		}
		return d.LastAddress.IsLoopback() && !d.LastSeen.IsZero()
	})
	if d, err := f.store.Devices.Device(t.Context(), otherMAC); err != nil || !d.LastSeen.IsZero() {
		t.Errorf("a device that never came was seen at %v, %v", d.LastSeen, err)
	}
}

// What is not recorded may be used, but not what is older than the last cut.
func TestACertificateOfBeforeTheRevocationStaysWorthless(t *testing.T) {
	f := startFleet(t, deviceConfig)
	old, recorded := f.device(mac), f.device(mac)
	f.add(mac, countersign.DeviceActive)
	f.answers(old, 200, "")
	f.do("revoke", mac)
	f.answers(old, 403, "DeviceRevoked")
	f.do("ready", mac)
	f.answers(old, 403, "DeviceCertificateRevoked")
	f.record(recorded, mac)
	f.do("activate", mac)
	f.answers(recorded, 200, "")
	f.answers(old, 403, "DeviceCertificateRevoked")
}

// record has the registry know a certificate.
func (f *fleet) record(cert *testpki.Certificate, id string) {
	f.t.Helper()
	err := f.store.Credentials.Add(f.t.Context(), countersign.Credential{Device: id, Serial: cert.X509.SerialNumber.Text(16), Fingerprint: sha256.Sum256(cert.X509.Raw),
		Issuer: "CN=Fleet Root", NotBefore: cert.X509.NotBefore, NotAfter: cert.X509.NotAfter, State: countersign.CredentialValid, Added: time.Now()},
		countersign.TrailEntry{Who: "test", What: "credential", At: time.Now()})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestTargetsAreToldOfTheDevice(t *testing.T) {
	f := startFleet(t, annotated)
	tell := func(cert *testpki.Certificate, id, state string) {
		t.Helper()
		c := f.dial(cert)
		defer c.conn.Close()
		h := c.get("X-Device-Id: AA:BB:CC:00:00:99", "x_device_state: active", "X-Device-STATE: active").served(t)
		if got := strings.Join(h.Values("X-Device-Id"), "|"); got != id {
			t.Errorf("X-Device-Id is %q, want %q", got, id)
		}
		if got := strings.Join(h.Values("X-Device-State"), "|"); got != state {
			t.Errorf("X-Device-State is %q, want %q", got, state)
		}
		if h.Get("X_device_state") != "" || h.Get("X-Amzn-Mtls-Clientcert-Subject") == "" {
			t.Errorf("the target was told %v", h)
		}
	}
	f.add(mac, countersign.DeviceActive)
	tell(f.device(mac), mac, "active")
	tell(f.device(otherMAC), otherMAC, "unknown")
	tell(f.device("00-00-00-00-00-00"), "", "bootstrap")
	tell(f.root.Client("Workstation 7"), "", "")

	c := f.dial(f.device(mac))
	c.get().served(t)
	f.do("suspend", mac)
	f.until("the target is not told of a change", func() bool { return c.get().served(t).Get("X-Device-State") == "suspended" })
	f.away.Store(true)
	tell(f.device("AA:BB:CC:00:00:03"), "AA:BB:CC:00:00:03", "unavailable")
}

// Nobody's word for a device passes, whatever the listener does about devices.
func TestDeviceFieldsOfClientsAreRemoved(t *testing.T) {
	for name, config := range map[string]string{"off": fleetConfig, "enforce": deviceConfig} {
		t.Run(name, func(t *testing.T) {
			f := startFleet(t, config)
			f.add(mac, countersign.DeviceActive)
			h := f.dial(f.device(mac)).get("X-Device-Id: "+otherMAC, "X-Device-State: active", "X-Device-Model: 7").served(t)
			if h.Get("X-Device-Id") != "" || h.Get("X-Device-State") != "" {
				t.Errorf("a client's word passed: %v", h)
			}
			if h.Get("X-Device-Model") != "7" {
				t.Errorf("a field that claims nothing did not pass: %v", h)
			}
		})
	}
}

func TestSuspensionCutsLiveConnections(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
	if err != nil {
		t.Fatal(err)
	}
	f := startFleetOn(t, s, upgraded(t), deviceConfig)
	f.add(mac, countersign.DeviceActive)
	f.add(otherMAC, countersign.DeviceActive)
	device := f.device(mac)
	parked, parked2 := f.dial(device), f.dial2(device)
	f.parked(2)
	idle := f.dial(device)
	socket, stays := f.dial(device), f.dial(f.device(otherMAC))
	for _, c := range []*client{socket, stays} {
		c.send("Connection: Upgrade", "Upgrade: websocket")
		if p := c.reply(); p.StatusCode != 101 {
			t.Fatalf("got %d, want an upgrade", p.StatusCode)
		}
	}
	began := time.Now()
	f.do("suspend", mac)
	idle.ended()
	parked.ended()
	parked2.ended()
	socket.ended()
	t.Logf("four connections ended within %v", time.Since(began))
	f.journal.wait(t, event{"event": "expulsion", "denial_code": "DeviceSuspended"})
	echo := make([]byte, 5)
	if _, err := io.WriteString(stays.conn, "hello"); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(stays.in, echo); err != nil || string(echo) != "hello" {
		t.Errorf("the other device heard %q, %v", echo, err)
	}
	f.answersCode(device, 403)
	f.do("resume", mac)
	f.until("a resumed device is not let in", func() bool {
		c := f.dial(device)
		defer c.conn.Close()
		c.send("Connection: Upgrade", "Upgrade: websocket")
		return c.reply().StatusCode == 101
	})
	if found, _ := f.journal.of(event{"event": "expulsion", "subject": "CN=MacID-" + otherMAC}); len(found) > 0 {
		t.Errorf("another device lost its connection: %v", found)
	}
}

func (f *fleet) answersCode(cert *testpki.Certificate, status int) {
	f.t.Helper()
	c := f.dial(cert)
	defer c.conn.Close()
	if p := c.get(); p.StatusCode != status {
		f.t.Errorf("got %d, want %d", p.StatusCode, status)
	}
}

// A device that was never served keeps its connection, and its next request is
// answered by its state of then.
func TestADeviceMayWaitUntilItIsActive(t *testing.T) {
	f := startFleet(t, deviceConfig)
	c := f.dial(f.device(mac))
	c.get().refused(t, 404, "DeviceNotProvisioned")
	f.add(mac, countersign.DeviceReady)
	f.until("the state is not known", func() bool { return c.get().StatusCode == 403 })
	f.do("activate", mac)
	f.until("the device is not served", func() bool { return c.get().StatusCode == 200 })
	f.do("suspend", mac)
	f.journal.wait(t, event{"event": "expulsion", "denial_code": "DeviceSuspended"})
	c.ended()
}

func TestANewRuleHoldsForConnectionsThatAreThere(t *testing.T) {
	f := startFleet(t, with(deviceConfig, "devices: enforce", "devices: off"))
	f.add(mac, countersign.DeviceActive)
	f.add(otherMAC, countersign.DeviceSuspended)
	kept, lost := f.dial(f.device(mac)), f.dial(f.device(otherMAC))
	kept.get().served(t)
	lost.get().served(t)
	f.publish(deviceConfig)
	lost.ended()
	kept.get().served(t)
	f.publish(annotated)
	if got := kept.get().served(t).Get("X-Device-State"); got != "active" {
		t.Errorf("X-Device-State is %q", got)
	}
	f.publish(with(deviceConfig, "devices: enforce", "devices: off"))
	if got := kept.get().served(t).Get("X-Device-State"); got != "" {
		t.Errorf("X-Device-State is %q", got)
	}
	kept.conn.Close()
	f.until("a device is held that has no connection", func() bool { return f.mirror.State().Held == 0 })
}

func TestWithoutTheStoreKnownDevicesGoOn(t *testing.T) {
	f := startFleet(t, deviceConfig)
	f.add(mac, countersign.DeviceActive)
	f.add(otherMAC, countersign.DeviceActive)
	live := f.dial(f.device(mac))
	live.get().served(t)
	f.away.Store(true)
	live.get().served(t)
	f.ask(f.device(mac), func(status int, _ func(int, string)) {
		if status != 200 {
			t.Errorf("a known device got %d", status)
		}
	})
	f.ask(f.device(otherMAC), func(_ int, refused func(int, string)) { refused(503, "DeviceStateUnavailable") })
	waiting := f.dial(f.device(otherMAC))
	waiting.get().refused(t, 503, "DeviceStateUnavailable")
	f.away.Store(false)
	f.until("the store is back, and the device refused", func() bool { return waiting.get().StatusCode == 200 })
}

// The real thing: nobody answers, and what is open ends; later the server is back.
func TestAPostgreSQLServerThatGoesAway(t *testing.T) {
	url, p := between(t, testrequire.PostgreSQL(t))
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	f := startFleetOn(t, s, echo(t), deviceConfig)
	f.add(mac, countersign.DeviceActive)
	f.add(otherMAC, countersign.DeviceActive)
	live := f.dial(f.device(mac))
	live.get().served(t)
	p.stop()
	live.get().served(t)
	f.answersCode(f.device(mac), 200)
	f.answersCode(f.device(otherMAC), 503)
	live.get().served(t)
	p.start()
	f.answers(f.device(otherMAC), 200, "")
	f.do("suspend", mac)
	live.ended()
}

// A passage leads to a PostgreSQL server, or does not.
type passage struct {
	t       *testing.T
	socket  string
	address string

	ln      net.Listener
	mu      sync.Mutex
	conns   []net.Conn
	running sync.WaitGroup
}

func between(t *testing.T, server string) (string, *passage) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	p := &passage{t: t, socket: filepath.Join(q.Get("host"), ".s.PGSQL.5432"), address: testport.For(t)}
	p.start()
	t.Cleanup(p.stop)
	host, port, _ := net.SplitHostPort(p.address)
	q.Set("host", host)
	q.Set("port", port)
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String(), p
}

func (p *passage) start() {
	p.t.Helper()
	var err error
	if p.ln, err = net.Listen("tcp", p.address); err != nil {
		p.t.Fatal(err)
	}
	p.running.Go(func() {
		for {
			near, err := p.ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", p.socket)
			if err != nil {
				near.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, near, far)
			p.mu.Unlock()
			p.running.Go(func() { io.Copy(far, near); far.Close() })
			p.running.Go(func() { io.Copy(near, far); near.Close() })
		}
	})
}

func (p *passage) stop() {
	p.ln.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// That its device is active costs a request nothing but a look.
func TestARequestOfAnActiveDeviceAllocatesNothingOfOurs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	for _, mode := range []string{"enforce", "annotate"} {
		t.Run(mode, func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "devices.db")})
			if err != nil {
				t.Fatal(err)
			}
			config := with(deviceConfig, "devices: enforce", "devices: "+mode, `connection: {path: "-"`, `connection: {path: "c.log"`, `access: {path: "-"`, `access: {path: "a.log"`)
			f := startFleetOn(t, s, frugal(t), config)
			f.add(mac, countersign.DeviceActive)
			device := f.device(mac)
			bare := allocations(t, bareTLS(t, f.rig, device))
			n := quietest(t, f.dial(device).conn, bare)
			if n > bare {
				t.Errorf("%v allocations per request, a bare TLS server has %v", n, bare)
			}
		})
	}
}

// quietest is allocations without those of the followers of the change log, which
// look every now and then: the least of several measurements, or enough.
func quietest(t *testing.T, conn net.Conn, enough float64) float64 {
	least := allocations(t, conn)
	for range 5 {
		if least <= enough {
			break
		}
		least = min(least, allocations(t, conn))
	}
	return least
}
