package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
)

// patience is how long the demonstration waits for anything.
const patience = 10 * time.Second

// demonstrate sends the requests of the main job and checks what comes back.
func demonstrate(ctx context.Context, s *screen, h *home, address string) error {
	d := &demo{ctx: ctx, screen: s, home: h, url: "https://" + address + "/"}
	parts := []func() error{d.verified, d.nobody, d.stranger, d.revoked}
	if h.initialize != "" {
		parts = slices.Concat([]func() error{d.enlisted}, parts, []func() error{d.life})
	}
	for _, part := range parts {
		if err := part(); err != nil {
			return fmt.Errorf("this did not come out as it should: %w", err)
		}
	}
	if h.initialize == "" {
		s.title("The life of a device is not shown: %s has no registry of devices that issues.\nRemove the file to have it made anew.", h.config())
	}
	s.title("All came out as it should.")
	return nil
}

type demo struct {
	ctx    context.Context
	screen *screen
	home   *home
	url    string
}

// verified: a device with a certificate is served, and the backend told who it is.
func (d *demo) verified() error {
	client, err := d.client("device")
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	d.screen.step("A device of the fleet asks, and claims to be somebody else while at it")
	status, body, err := d.get(client, "X-Client-Info", "CN=MacID-FF:FF:FF:FF:FF:FF")
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("status %d, want 200: %s", status, body)
	}
	d.screen.row("answer", "200 from the backend, which was told:")
	found := false
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case name == "X-Client-Info":
			if value != "CN="+deviceName || found {
				return fmt.Errorf("the backend was told %q", line)
			}
			found = true
			fallthrough
		case strings.HasPrefix(name, "X-Amzn-Mtls-"), name == "X-Forwarded-For":
			d.screen.row("", "%s: %s", name, shorten(value, 60))
		}
	}
	if !found {
		return errors.New("the backend was not told who the client is")
	}
	d.screen.row("", "and nothing of the claim")
	return nil
}

// nobody: without a certificate there is no connection.
func (d *demo) nobody() error {
	return d.turnedAway("", "Somebody without a certificate asks", countersign.ClientCertMissing)
}

// stranger: the right name from the wrong authority is nobody, too.
func (d *demo) stranger() error {
	return d.turnedAway("stranger", "Somebody asks with the device's name, from another authority", countersign.ClientCertUntrusted)
}

func (d *demo) turnedAway(who, what string, want countersign.Code) error {
	client, err := d.client(who)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	log := d.followLog("connection.log")
	d.screen.step("%s", what)
	status, _, err := d.get(client, "", "")
	if err == nil {
		return fmt.Errorf("answered with status %d, want a TLS alert", status)
	}
	d.screen.row("the client sees", "%s", lastOf(err))
	return d.explained(log, want)
}

// explained waits for a log's line and shows the reason in it.
func (d *demo) explained(log *logTail, want countersign.Code) error {
	line, err := log.next()
	if err != nil {
		return err
	}
	if line.Code != string(want) {
		return fmt.Errorf("the log says %s, want %s", line.Code, want)
	}
	d.screen.row("the operator sees", "%s: %s", line.Code, line.Reason)
	return nil
}

// revoked: a device is cut off in the middle of its connection.
func (d *demo) revoked() error {
	client, err := d.client("lost")
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	gone := whenGone(client)
	d.screen.step("A device is lost, and revoked while it is connected")
	status, body, err := d.get(client, "", "")
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("before: status %d, %v: %s", status, err, body)
	}
	d.screen.row("before", "200")
	cert, err := readChain(ca.FilesFor(d.home.dir, "lost").Certificate)
	if err != nil {
		return err
	}
	log := d.followLog("connection.log")
	if _, err := d.home.authority.RevokeCertificate(cert[0], crl.KeyCompromise, time.Time{}); err != nil {
		return err
	}
	d.screen.row("revoke", "countersign ca revoke %s %s --reason keyCompromise", d.home.path("pki"), d.home.path("lost.crt"))

	began := time.Now()
	if err := d.ends(gone); err != nil {
		return err
	}
	d.screen.row("after, same connection", "closed, %d ms later", time.Since(began).Milliseconds())
	if err := d.explained(log, countersign.ClientCertCrlHit); err != nil {
		return err
	}

	log = d.followLog("connection.log")
	if status, _, err = d.get(client, "", ""); err == nil {
		return fmt.Errorf("a new connection was answered with status %d, want a TLS alert", status)
	}
	d.screen.row("after, new connection", "%s", lastOf(err))
	return d.explained(log, countersign.ClientCertCrlHit)
}

// client returns an HTTP client with the certificate of who; "" has none.
func (d *demo) client(who string) (*http.Client, error) {
	if who == "" {
		return d.presenting(nil), nil
	}
	cert, err := loadPair(d.home.dir, who)
	if err != nil {
		return nil, err
	}
	// Presented whether or not the gateway names its authority.
	return d.presenting(func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }), nil
}

func (d *demo) presenting(what func(*tls.CertificateRequestInfo) (*tls.Certificate, error)) *http.Client {
	cfg := &tls.Config{RootCAs: d.roots(), GetClientCertificate: what}
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: cfg, MaxConnsPerHost: 1}}
}

// roots are whom clients believe.
func (d *demo) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(d.home.authority.Root())
	return roots
}

func loadPair(dir, name string) (tls.Certificate, error) {
	files := ca.FilesFor(dir, name)
	return tls.LoadX509KeyPair(files.Certificate, files.Key)
}

// ends waits for the end of a connection that has been revoked.
func (d *demo) ends(gone <-chan struct{}) error {
	select {
	case <-gone:
		return nil
	case <-d.ctx.Done():
		return d.ctx.Err()
	case <-time.After(patience):
		return fmt.Errorf("the device is still connected %s after its revocation", patience)
	}
}

// whenGone tells when the first connection that the client makes has ended.
func whenGone(c *http.Client) <-chan struct{} {
	gone := make(chan struct{})
	var once sync.Once
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return watched{conn, func() { once.Do(func() { close(gone) }) }}, err
	}
	return gone
}

// A watched connection tells when it is closed, as its client does that reads
// its end.
type watched struct {
	net.Conn
	closed func()
}

func (w watched) Close() error {
	w.closed()
	return w.Conn.Close()
}

// get sends one request, perhaps with a field, and returns what came back.
func (d *demo) get(c *http.Client, name, value string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(d.ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return 0, "", err
	}
	if name != "" {
		req.Header.Set(name, value)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

// lastOf is the innermost part of an error, the one that says what happened.
func lastOf(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// A logTail reads what is appended to a log from now on.
type logTail struct {
	ctx    context.Context
	file   string
	offset int64
}

func (d *demo) followLog(name string) *logTail {
	t := &logTail{ctx: d.ctx, file: d.home.path(name)}
	if info, err := os.Stat(t.file); err == nil {
		t.offset = info.Size()
	}
	return t
}

// A logLine is what is of interest here of a line in a log.
type logLine struct {
	Code   string `json:"denial_code"`
	Reason string `json:"denial_reason"`
}

// next waits for the next line about a refusal.
func (t *logTail) next() (line logLine, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		data, err := os.ReadFile(t.file)
		if err != nil {
			return logLine{}, err
		}
		for l := range strings.Lines(string(data[min(t.offset, int64(len(data))):])) {
			if strings.HasSuffix(l, "\n") && json.Unmarshal([]byte(l), &line) == nil && line.Code != "" {
				return line, nil
			}
		}
		select {
		case <-t.ctx.Done():
			return logLine{}, t.ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return logLine{}, fmt.Errorf("no line about it came into %s within %s", t.file, patience)
}
