package http2

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/http2"

	"countersign.dev/internal/testpki"
)

// A deaf is a connection on which nothing is heard before a write has failed: so
// writers are always the first to learn that the peer is gone.
type deaf struct {
	net.Conn
	once   sync.Once
	failed chan struct{}
}

func newDeaf(c net.Conn) *deaf { return &deaf{Conn: c, failed: make(chan struct{})} }

func (d *deaf) Write(p []byte) (int, error) {
	n, err := d.Conn.Write(p)
	if err != nil {
		d.once.Do(func() { close(d.failed) })
	}
	return n, err
}

func (d *deaf) Read(p []byte) (int, error) {
	<-d.failed
	return d.Conn.Read(p)
}

// cut ends the connection so that whatever is written to it fails.
func cut(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// deafClient is a client of ours that has begun to ask a server, with n requests.
func deafClient(t *testing.T, n int) (r *raw, c *party, asked []*Stream) {
	a, b := sockets(t)
	c = serve(newDeaf(a), Config{Client: true}, nil)
	t.Cleanup(c.stop)
	r = newRaw(t, b)
	if _, err := io.ReadFull(b, make([]byte, len(preface))); err != nil {
		t.Fatal(err)
	}
	r.WriteSettings()
	for range n {
		s := begin(t, c, request("POST", "/"), 0)
		asked = append(asked, s)
		r.expect(fmt.Sprintf("HEADERS %d end=false", s.ID()))
	}
	return r, c, asked
}

// writeOn writes until that fails.
func writeOn(s *Stream) error {
	for {
		if err := s.Write(make([]byte, 100), 0, patience); err != nil {
			return err
		}
	}
}

// Who is gone may have said why. That counts, and not that a write has failed.
func TestWhatAServerSaidBeforeItWasGoneIsHeard(t *testing.T) {
	t.Run("an answer", func(t *testing.T) { // RFC 9113 section 8.1
		r, _, asked := deafClient(t, 1)
		defer asked[0].Close()
		r.headers(1, false, ":status", "413")
		r.WriteData(1, true, []byte("too large"))
		cut(t, r.rw)
		if err := writeOn(asked[0]); err == nil || isTimeout(err) {
			t.Errorf("the write failed with %v", err)
		}
		if err := asked[0].ReadHead(patience); err != nil || asked[0].Response.Status != 413 {
			t.Fatalf("%v, status %d, want 413", err, asked[0].Response.Status)
		}
		if got, err := readAll(asked[0]); err != nil || string(got) != "too large" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("GOAWAY", func(t *testing.T) { // RFC 9113 section 6.8
		r, c, asked := deafClient(t, 2)
		r.WriteGoAway(1, http2.ErrCodeEnhanceYourCalm, []byte("too much"))
		cut(t, r.rw)
		writeOn(asked[0])
		for i, unseen := range []bool{false, true} {
			if err := asked[i].ReadHead(patience); err == nil || Unprocessed(err) != unseen {
				t.Errorf("stream %d: %v, unprocessed %v, want %v", asked[i].ID(), err, !unseen, unseen)
			}
			asked[i].Close()
		}
		if err, ok := errors.AsType[*ConnError](c.result(t)); !ok || !err.Remote || err.Reason != "too much" {
			t.Errorf("Serve returned %v, want what GOAWAY says", c.err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		r, c, asked := deafClient(t, 1)
		defer asked[0].Close()
		cut(t, r.rw)
		if err := writeOn(asked[0]); !isGone(err) || Unprocessed(err) {
			t.Errorf("the write failed with %v, unprocessed %v", err, Unprocessed(err))
		}
		if err := asked[0].ReadHead(patience); !isGone(err) {
			t.Errorf("the answer: %v", err)
		}
		if err := c.result(t); !isGone(err) {
			t.Errorf("Serve returned %v", err)
		}
		if _, err := c.NewStream(); !Unprocessed(err) {
			t.Errorf("another stream: %v", err)
		}
	})
}

// isGone reports whether err says that the peer is, whoever of reader and writer told
// it first.
func isGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
}

// In TLS 1.3 a server looks at the client's certificate when the client is done
// with the handshake (RFC 8446 section 4.4.3). A request that is begun later still
// fails with what the server found.
func TestARequestThatComesTooLateLearnsOfTheAlert(t *testing.T) {
	root, other := testpki.NewRoot(t, "root"), testpki.NewRoot(t, "other")
	leaf, stranger := root.Server("test.example").TLS(), other.Client("ours").TLS()
	a, b := sockets(t)
	refused := make(chan error, 1)
	go func() {
		err := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{leaf},
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: root.Pool()}).Handshake()
		cut(t, b)
		refused <- err
	}()
	d := newDeaf(a)
	conn := tls.Client(a, &tls.Config{RootCAs: root.Pool(), ServerName: "test.example", Certificates: []tls.Certificate{stranger}})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err == nil {
		t.Fatal("the certificate was not refused")
	}
	d.Conn = conn
	c := New(d, Config{Client: true})
	s, err := c.NewStream() // while nobody knows
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- c.Serve(0, nil) }()
	defer func() { s.Close(); c.Abort(); <-served }()
	<-d.failed // to write SETTINGS
	if err = s.WriteHead(request("POST", "/"), End); err == nil {
		err = s.ReadHead(patience)
	}
	if alert, ok := errors.AsType[*net.OpError](err); !ok || alert.Op != "remote error" || !Unprocessed(err) {
		t.Errorf("the request ends with %v, unprocessed %v, want the alert", err, Unprocessed(err))
	}
}
