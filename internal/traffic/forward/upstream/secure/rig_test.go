package secure_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is far beyond what anything takes here.
const patience = 30 * time.Second

// target serves each connection over TLS until the test ends.
func target(t *testing.T, cfg *tls.Config, serve func(*tls.Conn)) (address string) {
	t.Helper()
	return plain(t, func(raw net.Conn) {
		conn := tls.Server(raw, cfg)
		if conn.HandshakeContext(t.Context()) == nil {
			serve(conn)
		}
	})
}

func plain(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			raw.SetDeadline(time.Now().Add(patience))
			serve(raw)
			raw.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// echo sends back what it gets.
func echo(c *tls.Conn) { io.Copy(c, c) }

// client compiles cfg.
func client(t *testing.T, cfg secure.Config) *secure.Client {
	t.Helper()
	c, err := secure.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// connect makes a TLS connection to address, which is called name.
func connect(t *testing.T, c *secure.Client, address, name string) (*secure.Conn, error) {
	t.Helper()
	raw, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(patience))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, port, _ := net.SplitHostPort(address)
	return c.Handshake(ctx, direct.Wrap(raw), net.JoinHostPort(name, port), "")
}

// denied wants a denial of that code with these words in it.
func denied(t *testing.T, err error, code countersign.Code, words ...string) {
	t.Helper()
	d, ok := errors.AsType[*countersign.Denial](err)
	if !ok {
		t.Fatalf("%T %v, want a denial %s", err, err, code)
	}
	if d.Code != code || d.Stage != countersign.StageForward {
		t.Errorf("%s at %s: %s, want %s", d.Code, d.Stage, d.Reason, code)
	}
	for _, w := range words {
		if !strings.Contains(d.Reason, w) {
			t.Errorf("the reason lacks %q: %s", w, d.Reason)
		}
	}
}

// says sends a word and wants it back.
func says(c *secure.Conn) error {
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != "hello" {
		return errors.New("another word came back: " + string(b))
	}
	return nil
}

func lists(t *testing.T, ders ...[]byte) []*crl.List {
	t.Helper()
	all, err := crl.Read("test.crl", bytes.NewReader(testpki.CRLPEM(ders...)), crl.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
