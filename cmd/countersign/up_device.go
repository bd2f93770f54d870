package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/client"
	clientdevice "countersign.dev/client/device"
)

// A newcomer is a device whose whole life is shown.
type newcomer struct {
	*demo
	node   *client.Client
	id     string
	secret string
	asks   clientdevice.Config // with the certificate that all devices are made with
	own    *clientdevice.Credential
}

// newcomerFile has the certificate and the key of the device whose life was shown.
const newcomerFile = "new-device.pem"

// operator returns what operators ask the node with: the token in its data_dir.
func (h *home) operator() (*client.Client, error) {
	how := nodeFlags{file: h.config()}
	if err := how.configured(); err != nil {
		return nil, err
	}
	return client.New(how.Config)
}

// enlisted: the two devices that have their certificates already are in the registry.
func (d *demo) enlisted() error {
	node, err := d.home.operator()
	if err != nil {
		return err
	}
	defer node.Close()
	for _, name := range []string{deviceName, lostName} {
		_, err := node.AddDevice(d.ctx, client.NewDevice{ID: name, State: "active", Why: "countersign up"})
		if p, ok := errors.AsType[*client.Problem](err); err != nil && !(ok && p.Code == "device_exists") {
			return err
		}
	}
	d.screen.row("data/devices.db", "the registry, with the two devices that have their certificates already")
	return nil
}

// freshID is that of a device that no run before has used.
func (d *demo) freshID(node *client.Client) (string, error) {
	taken := map[string]bool{}
	for known, err := range node.Devices(d.ctx, client.DeviceFilter{}) {
		if err != nil {
			return "", err
		}
		taken[known.ID] = true
	}
	for n := 0xEE03; n <= 0xFFFF; n++ {
		if id := fmt.Sprintf("AA:BB:CC:DD:%02X:%02X", n>>8, n&0xFF); !taken[id] {
			return id, nil
		}
	}
	return "", errors.New("every id is in use: begin anew in another directory")
}

// life shows a device from its factory to its end, and from there once more.
func (d *demo) life() error {
	node, err := d.home.operator()
	if err != nil {
		return err
	}
	defer node.Close()
	n := &newcomer{demo: d, node: node}
	if n.id, err = d.freshID(node); err != nil {
		return err
	}
	bootstrap, err := loadPair(d.home.dir, "bootstrap")
	if err != nil {
		return err
	}
	n.asks = clientdevice.Config{URL: d.url, RootCAs: d.roots(), Certificate: bootstrap, DeviceID: n.id, Path: d.home.initialize, Timeout: patience}
	for _, part := range []func() error{n.unknown, n.provisioned, n.served, n.renewed, n.cutOff, n.again} {
		if err := part(); err != nil {
			return fmt.Errorf("device %s: %w", n.id, err)
		}
	}
	text, err := n.own.PEM()
	if err != nil {
		return err
	}
	d.home.newcomer = n.id
	return os.WriteFile(d.home.path(newcomerFile), text, 0o600)
}

// unknown: what all devices are made with is good for Initialize alone, and nobody
// has said that there is such a device.
func (n *newcomer) unknown() error {
	n.screen.step("A device comes from its factory, with the certificate that all of them are made with")
	n.screen.row("", "CN=MacID-%s in its certificate, %s on its label", bootstrapID, n.id)
	who := n.presenting(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &n.asks.Certificate, nil })
	defer who.CloseIdleConnections()
	log := n.followLog("access.log")
	status, body, err := n.get(who, "", "")
	if err != nil || status != http.StatusForbidden {
		return fmt.Errorf("the bootstrap certificate: status %d, %v, want 403: %s", status, err, body)
	}
	n.screen.row("the device sees", "GET /: %d", status)
	if err := n.explained(log, countersign.DeviceBootstrap); err != nil {
		return err
	}
	return n.initialize("Initialize", "DeviceNotProvisioned")
}

// provisioned: an operator knows the device, and it gets a certificate for a key of
// its own. Nobody else does.
func (n *newcomer) provisioned() error {
	n.screen.step("It is provisioned, with a secret for its label, and fetches its certificate")
	if _, err := n.node.AddDevice(n.ctx, client.NewDevice{ID: n.id, Why: "countersign up"}); err != nil {
		return err
	}
	n.screen.row("the operator says", "countersign device add %s", n.id)
	if err := n.ready(); err != nil {
		return err
	}
	if err := n.initialize("Initialize without the secret", "EnrollmentClaimFailed"); err != nil {
		return err
	}
	if err := n.enroll(); err != nil {
		return err
	}
	n.screen.row("", "for a key that it has made itself and that never leaves it")
	n.asks.Claim = n.secret
	return n.initialize("Initialize with the secret and another key", "EnrollmentKeyConflict")
}

// ready lets the device fetch its certificate.
func (n *newcomer) ready() error {
	if _, err := n.node.ChangeDevice(n.ctx, n.id, "ready", ""); err != nil {
		return err
	}
	n.screen.row("the operator says", "countersign device ready %s", n.id)
	set, err := n.node.SetClaim(n.ctx, n.id, client.Claim{Claim: "secret"})
	if err != nil {
		return err
	}
	n.secret = set.Secret
	n.screen.row("", "countersign device claim %s --secret", n.id)
	n.screen.row("the operator sees", "%s, this once: the registry keeps a hash", n.secret)
	return nil
}

// initialize asks for a certificate that is not to be had.
func (n *newcomer) initialize(what, want string) error {
	asks := n.asks
	if err := newKey(&asks); err != nil {
		return err
	}
	log := n.followLog(programLogName)
	_, err := clientdevice.Initialize(n.ctx, asks)
	why, ok := errors.AsType[*clientdevice.Problem](err)
	if !ok || why.Code != want {
		return fmt.Errorf("%s: %w, want %s", what, errors.Join(err, errIfNone(err)), want)
	}
	n.screen.row("the device sees", "%s: %d %s", what, why.Status, why.Code)
	if reason := log.reason(want); reason != "" {
		n.screen.row("the operator sees", "%s", reason)
	}
	return nil
}

// reason is what the program log says of a refusal with that code, which is written
// before the device is answered. "": it says nothing, because its level is higher.
func (t *logTail) reason(code string) string {
	data, err := os.ReadFile(t.file)
	if err != nil {
		return ""
	}
	found := regexp.MustCompile(`\bcode"?[=:]"?` + code + `"?[ ,]"?reason"?[=:]("(?:[^"\\]|\\.)*"|\S+)`).FindSubmatch(data[min(t.offset, int64(len(data))):])
	if found == nil {
		return ""
	}
	if text, err := strconv.Unquote(string(found[1])); err == nil {
		return text
	}
	return string(found[1])
}

func errIfNone(err error) error {
	if err != nil {
		return nil
	}
	return errors.New("a certificate")
}

// enroll gets the device a certificate of its own.
func (n *newcomer) enroll() error {
	asks := n.asks
	asks.Claim = n.secret
	if err := newKey(&asks); err != nil {
		return err
	}
	own, err := clientdevice.Enroll(n.ctx, asks)
	if err != nil {
		return err
	}
	n.own = own
	n.screen.row("the device sees", "Initialize with the secret: 200, %s, serial ...%s", own.Leaf().Subject, tailOf(own.Leaf()))
	return nil
}

// served: from now on the device is who it is, by its own certificate alone.
func (n *newcomer) served() error {
	n.screen.step("It is served under its own name")
	if err := n.asks200(); err != nil {
		return err
	}
	// Its first use makes the delivery final; that is noted beside traffic.
	if err := n.until("the first use of its certificate was not noted", func() (bool, error) {
		e, err := n.node.Enrollment(n.ctx, n.id)
		return err == nil && e.Acknowledged != nil, err
	}); err != nil {
		return err
	}
	return n.initialize("Initialize with the first certificate", "EnrollmentDelivered")
}

// asks200 sends a request over a new connection, and shows what the backend was
// told. Another state of the device takes a moment to be known.
func (n *newcomer) asks200() error {
	var body string
	if err := n.until("it is not served", func() (bool, error) {
		who := n.presenting(n.own.Certificate)
		defer who.CloseIdleConnections()
		status, answer, err := n.get(who, "", "")
		body = answer
		return status == http.StatusOK, err
	}); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	told := "X-Client-Info: CN=MacID-" + n.id
	if strings.Count(body, "X-Client-Info:") != 1 || !strings.Contains(body, told+"\n") {
		return fmt.Errorf("the backend was not told %q: %s", told, body)
	}
	n.screen.row("the device sees", "GET /: 200 from the backend, which was told %s", told)
	return nil
}

// renewed: another certificate for another key, without an operator.
func (n *newcomer) renewed() error {
	n.screen.step("It renews its certificate, by EST")
	before := n.own.Leaf()
	if err := n.own.Renew(n.ctx); err != nil {
		return err
	}
	after := n.own.Leaf()
	if before.SerialNumber.Cmp(after.SerialNumber) == 0 {
		return errors.New("the certificate is the same as before")
	}
	n.screen.row("the device sees", "POST /.well-known/est/simplereenroll: 200, serial ...%s in the place of ...%s, a new key", tailOf(after), tailOf(before))
	return n.asks200()
}

// cutOff: revoked, the device loses its connection, and whatever it tries.
func (n *newcomer) cutOff() error {
	n.screen.step("It is stolen, and revoked while it is connected")
	who := n.presenting(n.own.Certificate)
	defer who.CloseIdleConnections()
	gone := whenGone(who)
	if status, body, err := n.get(who, "", ""); err != nil || status != http.StatusOK {
		return fmt.Errorf("before: status %d, %v: %s", status, err, body)
	}
	log := n.followLog("connection.log")
	began := time.Now()
	if _, err := n.node.ChangeDevice(n.ctx, n.id, "revoke", "stolen"); err != nil {
		return err
	}
	n.screen.row("the operator says", "countersign device revoke %s --why stolen", n.id)
	if err := n.ends(gone); err != nil {
		return err
	}
	n.screen.row("the device sees", "its connection closed, %d ms later", time.Since(began).Milliseconds())
	if err := n.explained(log, countersign.DeviceIsRevoked); err != nil {
		return err
	}
	status, body, err := n.get(who, "", "")
	if err != nil || status != http.StatusForbidden {
		return fmt.Errorf("after: status %d, %v, want 403: %s", status, err, body)
	}
	n.screen.row("the device sees", "GET /, new connection: %d", status)

	made := n.asks.Certificate
	own, err := n.own.Certificate(nil)
	if err != nil {
		return err
	}
	n.asks.Certificate = *own
	err = n.initialize("Initialize with its own certificate", "DeviceRevoked")
	n.asks.Certificate = made
	if err != nil {
		return err
	}
	return n.initialize("Initialize with the first certificate", "DeviceNotReady")
}

// again: it was found, and begins anew.
func (n *newcomer) again() error {
	n.screen.step("It is found, reset, and begins anew")
	if err := n.ready(); err != nil {
		return err
	}
	if err := n.initialize("Initialize with the old secret", "EnrollmentClaimFailed"); err != nil {
		return err
	}
	if err := n.enroll(); err != nil {
		return err
	}
	if err := n.asks200(); err != nil {
		return err
	}
	file, err := n.node.Device(n.ctx, n.id)
	if err != nil {
		return err
	}
	if file.State != "active" || file.TrailFault != "" || len(file.Credentials) < 3 {
		return fmt.Errorf("the registry has it as %s with %d certificates; trail: %s", file.State, len(file.Credentials), file.TrailFault)
	}
	n.screen.row("the operator says", "countersign device show %s", n.id)
	n.screen.row("the operator sees", "%s, %d certificates, and who did what, and why: %d entries that nobody can edit", file.State, len(file.Credentials), len(file.Trail))
	return nil
}

// until waits for something that takes a moment.
func (d *demo) until(what string, holds func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		ok, err := holds()
		if ok {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("%s after %s", what, patience), err)
		}
		select {
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func newKey(cfg *clientdevice.Config) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	cfg.Key = key
	return err
}

// tailOf is the end of a serial number, by which people tell certificates apart.
func tailOf(c *x509.Certificate) string {
	text := fmt.Sprintf("%032X", c.SerialNumber)
	return text[len(text)-6:]
}
