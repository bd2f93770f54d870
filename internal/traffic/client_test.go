package traffic_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// A client is one connection to a rig.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	host string
}

// A reply is an answer with its body read.
type reply struct {
	*nethttp.Response
	body string
}

// dial connects to the rig's only listener and presents cert, if there is one.
func (r *rig) dial(cert *testpki.Certificate, change ...func(*tls.Config)) *client {
	r.t.Helper()
	c, err := r.try(cert, change...)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// try is dial for a handshake that may fail.
func (r *rig) try(cert *testpki.Certificate, change ...func(*tls.Config)) (*client, error) {
	r.t.Helper()
	cfg := &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost"}
	if cert != nil {
		shown := cert.TLS()
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
	}
	for _, f := range change {
		f(cfg)
	}
	raw := r.plain("127.0.0.1:0")
	conn := tls.Client(raw.conn, cfg)
	if err := conn.Handshake(); err != nil {
		raw.conn.Close()
		return nil, err
	}
	return &client{t: r.t, conn: conn, in: bufio.NewReader(conn), host: cfg.ServerName}, nil
}

// plain connects without TLS.
func (r *rig) plain(configured string) *client {
	r.t.Helper()
	raw, err := net.Dial("tcp", r.address(configured))
	if err != nil {
		r.t.Fatal(err)
	}
	raw.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { raw.Close() })
	return &client{t: r.t, conn: raw, in: bufio.NewReader(raw), host: "localhost"}
}

// get asks for the path "/" with further header lines.
func (c *client) get(header ...string) reply {
	c.t.Helper()
	c.send(header...)
	return c.reply()
}

// send sends a request.
func (c *client) send(header ...string) {
	c.t.Helper()
	head := "GET / HTTP/1.1\r\nHost: " + c.host + "\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
	if _, err := io.WriteString(c.conn, head); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads an answer.
func (c *client) reply() reply {
	c.t.Helper()
	res, err := nethttp.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("half an answer: %v", err)
	}
	return reply{res, string(body)}
}

// ended fails the test unless the connection ends here, without another byte.
func (c *client) ended() {
	c.t.Helper()
	rest, err := io.ReadAll(c.in)
	if len(rest) > 0 {
		c.t.Errorf("the connection goes on with %q", rest)
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
		c.t.Errorf("the connection did not end: %v", err)
	}
}

// served fails the test unless the backend answered; it returns the header that
// the backend got.
func (p reply) served(t testing.TB) nethttp.Header {
	t.Helper()
	if p.StatusCode != 200 {
		t.Fatalf("got %d %q, want the backend's answer", p.StatusCode, p.body)
	}
	h := nethttp.Header{}
	if err := json.Unmarshal([]byte(p.body), &h); err != nil {
		t.Fatalf("the answer is not the backend's: %q", p.body)
	}
	return h
}

// refused fails the test unless the gateway refused with that status and code.
// It accepts the problem document alone, which programs are told.
func (p reply) refused(t testing.TB, status int, code string) {
	t.Helper()
	var problem struct {
		Status int
		Code   string
	}
	err := json.Unmarshal([]byte(p.body), &problem)
	if err != nil || p.Header.Get("Content-Type") != "application/problem+json" || p.StatusCode != status || problem.Status != status || problem.Code != code {
		t.Errorf("got %d %q, want a problem document with %d %s", p.StatusCode, p.body, status, code)
	}
}
