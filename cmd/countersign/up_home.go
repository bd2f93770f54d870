package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/wire/dn"
)

// A home is the directory that up keeps everything in.
type home struct {
	dir        string
	authority  *ca.Authority
	initialize string // where devices fetch their certificates; "": the configuration has no such place
	newcomer   string // the id of the device whose life was shown
}

const (
	deviceName   = "MacID-AA:BB:CC:DD:EE:01"
	lostName     = "MacID-AA:BB:CC:DD:EE:02"
	bootstrapID  = "00:00:00:00:00:00"
	strangerName = deviceName // the same name, from an authority that nobody here trusts
)

func (h *home) path(elem ...string) string { return filepath.Join(append([]string{h.dir}, elem...)...) }
func (h *home) config() string             { return h.path("countersign.yaml") }

// furnish makes what is missing in dir, and tells of it.
func furnish(dir string, s *screen) (*home, error) {
	h := &home{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s.step("Authorities and certificates")
	var err error
	if h.authority, err = h.openAuthority("pki", "Fleet"); err != nil {
		return nil, err
	}
	// A list is good for a day; this directory may be older.
	if _, err := h.authority.CRL(0); err != nil {
		return nil, err
	}
	s.row("pki/ca.crt", "your own authority: a root, and the authority below it that issues")
	stranger, err := h.openAuthority("stranger", "Stranger")
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		file      string
		authority *ca.Authority
		request   ca.Request
		anew      bool
		what      string
	}{
		{"server", h.authority, ca.Request{Profile: issuance.Server, CommonName: "localhost", Names: []string{"dns:localhost", "ip:127.0.0.1", "ip:::1"}}, false, "the gateway: localhost"},
		{"device", h.authority, ca.Request{Profile: issuance.Device, CommonName: deviceName}, false, "a device: " + deviceName},
		{"lost", h.authority, ca.Request{Profile: issuance.Device, CommonName: lostName}, true, "a device that will be lost: " + lostName},
		{"bootstrap", h.authority, ca.Request{Profile: issuance.Bootstrap, CommonName: "MacID-" + bootstrapID}, false, "what devices are made with: MacID-" + bootstrapID},
		{"stranger", stranger, ca.Request{Profile: issuance.Device, CommonName: strangerName}, false, "the first device's name, from an authority nobody trusts here"},
	} {
		if err := h.certificate(c.file, c.authority, c.request, c.anew); err != nil {
			return nil, err
		}
		s.row(c.file+".crt", "%s", c.what)
	}
	made, err := h.writeConfig()
	if err != nil {
		return nil, err
	}
	if made {
		s.row("countersign.yaml", "the configuration; change it, the gateway follows")
	} else {
		s.row("countersign.yaml", "the configuration, as you left it")
	}
	return h, nil
}

func (h *home) openAuthority(sub, name string) (*ca.Authority, error) {
	dir := h.path(sub)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return ca.Init(ca.Founding{Config: ca.Config{Dir: dir}, Name: name})
	}
	return ca.Open(ca.Config{Dir: dir})
}

// certificate issues FILE.crt and FILE.key unless they are there, and good; anew
// replaces them, for a device whose certificate the last run revoked.
func (h *home) certificate(file string, authority *ca.Authority, r ca.Request, anew bool) error {
	files := ca.FilesFor(h.dir, file)
	if files.Vacant() != nil {
		if !anew && h.good(files.Certificate) {
			return nil
		}
		if err := errors.Join(os.Remove(files.Certificate), os.Remove(files.Key)); err != nil {
			return err
		}
	}
	issued, err := authority.Issue(r)
	if err != nil {
		return err
	}
	return issued.Save(files)
}

// good reports whether a certificate is there that has not expired and that the
// home's authority has not revoked.
func (h *home) good(file string) bool {
	chain, err := readChain(file)
	if err != nil || len(chain) == 0 || time.Now().After(chain[0].NotAfter) {
		return false
	}
	known, ok, err := h.authority.Status(context.Background(), dn.Serial(chain[0].SerialNumber))
	return err == nil && !(ok && known.Revoked())
}

// writeConfig writes the example configuration unless there is one.
func (h *home) writeConfig() (made bool, err error) {
	if _, err := os.Stat(h.config()); err == nil {
		return false, nil
	}
	text := strings.NewReplacer(
		"127.0.0.1:8443", free("127.0.0.1:8443"),
		"127.0.0.1:9001", free("127.0.0.1:9001"),
		"127.0.0.1:9901", free("127.0.0.1:9901"),
	).Replace(exampleConfig)
	return true, os.WriteFile(h.config(), []byte(text), 0o644)
}

// free returns address, or one on the same host with a port that is free when
// that one is taken.
func free(address string) string {
	host, _, _ := net.SplitHostPort(address)
	for _, candidate := range []string{address, net.JoinHostPort(host, "0")} {
		if ln, err := net.Listen("tcp", candidate); err == nil {
			ln.Close()
			return ln.Addr().String()
		}
	}
	return address
}

// suggest prints commands to try.
func (h *home) suggest(s *screen, address, admin string) {
	ca := "--cacert " + quote(h.path("pki", "ca.crt"))
	with := func(name string) string {
		return fmt.Sprintf("--cert %s --key %s", quote(h.path(name+".crt")), quote(h.path(name+".key")))
	}
	s.command("a verified request", "curl %s %s https://%s/", ca, with("device"), address)
	s.command("no certificate", "curl %s https://%s/", ca, address)
	s.command("another authority's", "curl %s %s https://%s/", ca, with("stranger"), address)
	s.command("why?", "%s explain -c %s --cert %s", program(), quote(h.config()), quote(h.path("stranger.crt")))
	if h.newcomer == "" {
		s.command("revoke the device", "%s ca revoke %s %s", program(), quote(h.path("pki")), quote(h.path("device.crt")))
	} else {
		s.command("the new device", "curl %s --cert %s https://%s/", ca, quote(h.path(newcomerFile)), address)
		s.command("revoke it", "%s device revoke %s --why lost -c %s", program(), h.newcomer, quote(h.config()))
		s.command("who did what", "%s device show %s -c %s", program(), h.newcomer, quote(h.config()))
	}
	if admin != "" {
		s.command("what is counted", "curl http://%s/metrics", admin)
	}
	s.command("who came", "tail %s", quote(h.path("connection.log")))
}

// program is how a person calls what is running: by name where it is installed,
// else as they did.
func program() string {
	self, err := os.Executable()
	if found, lookErr := exec.LookPath("countersign"); lookErr == nil && err == nil && found == self {
		return "countersign"
	}
	if err == nil && strings.Contains(self, "go-build") { // where go run puts it
		return "go run ./cmd/countersign"
	}
	return quote(os.Args[0])
}

const exampleConfig = `# Made by "countersign up"; yours to change. The running gateway follows every
# change of this file and of the files it names, or says what is wrong with it
# and stays as it is. To check it yourself: countersign check -c countersign.yaml

node:
  admin: {address: "127.0.0.1:9901"}           # /healthz /readyz /metrics, and the management API
  data_dir: data                               # devices.db: the registry

devices:
  id: {from: subject_cn, form: mac, pattern: "^MacID-(.+)$"}
  bootstrap: "00:00:00:00:00:00"               # what devices are made with: good for Initialize alone
  initialize: {claim: secret}                  # who comes first has to know what is on the label
  authority: fleet

authorities:
  - {name: fleet, dir: pki, est: true}         # issues to devices, renews by EST

logs:
  connection: {path: connection.log, format: json}   # a line per connection, refused ones with the reason
  access: {path: access.log, format: json}           # a line per request

listeners:
  - name: devices
    address: "127.0.0.1:8443"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}  # no certificate of the fleet: no connection
    devices: enforce                                 # no active device of the registry: no answer
    identity_headers:                                # what the backend is told; clients cannot forge it
      - aws
      - {set: X-Client-Info, value: "{subject}"}
    default: {forward: echo}

trust_stores:
  - name: fleet
    ca_bundle: [pki/ca.crt]
    accept: [{subject_cn: "MacID-*"}]
    revocation: {crls: [pki/crl.pem], stale: refuse}

target_groups:
  - name: echo
    protocol: http
    targets: ["127.0.0.1:9001"]
    health_check: {path: /healthz, interval: 2s, timeout: 1s}
`
