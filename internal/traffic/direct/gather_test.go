//go:build linux && !386 && !s390x

package direct

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// pair returns both ends of a TLS connection, the server's gathering.
func pair(t *testing.T) (server *TLS, client *tls.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	certificate := testpki.NewRoot(t, "root").Server("localhost")
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = Gather(tls.Server(Wrap(accepted), &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}}))
	client = tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) // who it is does not matter here
	t.Cleanup(func() { accepted.Close(); raw.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// What is gathered arrives whole and in order, beside small writes.
func TestLargeWritesArriveWhole(t *testing.T) {
	server, client := pair(t)
	if server.under == nil {
		t.Fatal("the connection beneath was not found")
	}
	var sent bytes.Buffer
	for i, size := range []int{1, 16 << 10, 16<<10 + 1, 64 << 10, 5, 300 << 10, 1} {
		sent.Write(bytes.Repeat([]byte{byte('a' + i)}, size))
	}
	want := bytes.Clone(sent.Bytes())
	go func() {
		for _, size := range []int{1, 16 << 10, 16<<10 + 1, 64 << 10, 5, 300 << 10, 1} {
			if _, err := server.Write(sent.Next(size)); err != nil {
				t.Error(err)
			}
		}
		server.CloseWrite()
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
}

// Four records are one call: what the kernel has is all of them or none.
func TestFourRecordsLeaveTogether(t *testing.T) {
	server, _ := pair(t)
	c := server.under
	c.set(true, false)
	if _, err := server.Conn.Write(make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	if c.gather.n < 64<<10 {
		t.Errorf("%d bytes are gathered, want all four records", c.gather.n)
	}
	if err := c.set(false, true); err != nil || c.gather.buf != nil {
		t.Errorf("%v, %d bytes left", err, c.gather.n)
	}
}

// Nobody waits to be heard until he has listened: a read goes on while a large write
// waits for the peer.
func TestAReadDoesNotWaitForAWrite(t *testing.T) {
	server, client := pair(t)
	var written atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		for { // nobody reads
			n, err := server.Write(make([]byte, 64<<10))
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	}()
	heard := make(chan error, 1)
	for stuck, had := 0, int64(-1); stuck < 50; stuck++ {
		if now := written.Load(); now != had {
			stuck, had = 0, now
		}
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		go func() { _, err := server.Read(make([]byte, 1)); heard <- err }()
		select {
		case err := <-heard:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing was read behind %d bytes written", had)
		}
		time.Sleep(time.Millisecond) // for the writer
	}
	server.under.Conn.Close()
	<-over
}

// After a write that failed in the middle, nothing more of the stream is sent:
// there would be a gap in it.
func TestNothingFollowsAGap(t *testing.T) {
	server, _ := pair(t)
	server.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	var err error
	for err == nil { // nobody reads
		_, err = server.Write(make([]byte, 256<<10))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	server.SetWriteDeadline(time.Time{})
	if _, err := server.under.Write([]byte("x")); err == nil {
		t.Error("a write succeeded behind a gap")
	}
}

// What is held leaves with the next write, in one call, or before the next read.
func TestWhatIsHeldLeavesBeforeARead(t *testing.T) {
	server, client := pair(t)
	Hold(server.under)
	for _, s := range []string{"a", "b"} {
		if _, err := server.Conn.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if !server.under.gather.pending.Load() {
		t.Error("nothing was held")
	}
	read := make(chan error, 1)
	go func() { _, err := server.Read(make([]byte, 1)); read <- err }()
	got := make([]byte, 2)
	for i := range got {
		if _, err := client.Read(got[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	client.Write([]byte("x"))
	if err := <-read; err != nil || string(got) != "ab" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := server.Conn.Write([]byte("c")); err != nil || !server.under.gather.pending.Load() {
		t.Errorf("not held any more: %v", err)
	}
	if err := Release(server.under, false); err != nil || !server.under.gather.pending.Load() {
		t.Errorf("Release did not leave it for the next write: %v", err)
	}
	if _, err := server.Conn.Write([]byte("d")); err != nil || server.under.gather.pending.Load() {
		t.Errorf("the next write did not take it along: %v", err)
	}
	for _, want := range "cd" {
		if _, err := client.Read(got[:1]); err != nil || rune(got[0]) != want {
			t.Errorf("%q, %v; want %q", got[0], err, want)
		}
	}
}
