package stream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/stream"
)

// hello is the first flight of a client that asks for name.
func hello(t testing.TB, name string, protocols ...string) []byte {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tls.Client(near, &tls.Config{ServerName: name, InsecureSkipVerify: name == "", NextProtos: protocols}).HandshakeContext(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	head := make([]byte, 5)
	if _, err := io.ReadFull(far, head); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	if _, err := io.ReadFull(far, rest); err != nil {
		t.Fatal(err)
	}
	return append(head, rest...)
}

// cut is the handshake message of a record, in records of at most size bytes.
func cut(record []byte, size int) (out []byte) {
	for part := range slices.Chunk(record[5:], size) {
		out = append(out, record[0], record[1], record[2], byte(len(part)>>8), byte(len(part)))
		out = append(out, part...)
	}
	return out
}

// What a client begins with names the server, or nobody; all that was read is given
// back as it came.
func TestTheBeginningTellsTheServerName(t *testing.T) {
	whole := hello(t, "broker.example.com", "mqtt")
	large := hello(t, "broker.example.com", func() (many []string) { // more than one read of it
		for range 40 {
			many = append(many, string(bytes.Repeat([]byte{'p'}, 250)))
		}
		return many
	}()...)
	for _, c := range []struct {
		name, asks string
		begin      []byte
		then       func(*net.TCPConn)
	}{
		{name: "a ClientHello", begin: whole, asks: "broker.example.com"},
		{name: "in many records", begin: cut(whole, 7), asks: "broker.example.com"},
		{name: "a large one", begin: large, asks: "broker.example.com"},
		{name: "a large one in records", begin: cut(large, 1000), asks: "broker.example.com"},
		{name: "one with bytes behind it", begin: append(slices.Clone(whole), "early"...), asks: "broker.example.com"},
		{name: "no name is asked for", begin: hello(t, "")},
		{name: "no TLS", begin: []byte("SSH-2.0-OpenSSH_9.2p1\r\n")},
		{name: "one byte of something else", begin: []byte{0x10}},
		{name: "a record that is too large", begin: []byte{0x16, 3, 1, 0xff, 0xff, 1}},
		{name: "an end without a word", then: func(c *net.TCPConn) { c.CloseWrite() }},
		{name: "an end within a ClientHello", begin: whole[:60], then: func(c *net.TCPConn) { c.CloseWrite() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := pair(t)
			if _, err := client.Write(c.begin); err != nil {
				t.Fatal(err)
			}
			if c.then != nil {
				c.then(client)
			}
			p := newPipe(server, make(chan *stream.Result, 1))
			name, read, denial := p.Peek(20 * time.Second)
			if denial != nil || name != c.asks {
				t.Errorf("asks for %q, %v, want %q", name, denial, c.asks)
			}
			if !bytes.HasPrefix(c.begin, read) || len(read) == 0 && len(c.begin) > 0 {
				t.Errorf("%d bytes were read that are not what was sent", len(read))
			}
		})
	}
}

// However the network cuts it up.
func TestTheBeginningMayComeByteByByte(t *testing.T) {
	client, server := pair(t)
	begin := cut(hello(t, "broker.example.com"), 50)
	sent := make(chan error, 1)
	go func() {
		for i := range begin { // TCP_NODELAY
			if _, err := client.Write(begin[i : i+1]); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	name, read, denial := newPipe(server, make(chan *stream.Result, 1)).Peek(20 * time.Second)
	if name != "broker.example.com" || denial != nil || !bytes.HasPrefix(begin, read) {
		t.Errorf("asks for %q, %v, after %d bytes", name, denial, len(read))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestPatienceWithTheBeginningEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		begin  []byte
		denied countersign.Code
	}{
		{name: "who says nothing waits for the server", begin: nil},
		{name: "half a ClientHello is none", begin: hello(t, "broker.example.com")[:60], denied: countersign.HandshakeTimeout},
		{name: "nor is half a head", begin: []byte{0x16, 3}, denied: countersign.HandshakeTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := pair(t)
			if _, err := client.Write(c.begin); err != nil {
				t.Fatal(err)
			}
			p := newPipe(server, make(chan *stream.Result, 1))
			name, read, denial := p.Peek(50 * time.Millisecond)
			if name != "" || len(read) > 0 {
				t.Errorf("asks for %q in %d bytes", name, len(read))
			}
			if c.denied == "" && denial != nil || c.denied != "" && (denial == nil || denial.Code != c.denied) {
				t.Errorf("denied with %v, want %q", denial, c.denied)
			}
			// The deadline was for the beginning alone.
			go client.Write([]byte("x"))
			if n, err := server.Read(make([]byte, 1)); n != 1 {
				t.Errorf("the deadline stays: %v", err)
			}
		})
	}
}

func TestWhoBreaksOffWithinTheBeginningIsRefused(t *testing.T) {
	client, server := pair(t)
	if _, err := client.Write([]byte{0x16, 3, 1}); err != nil {
		t.Fatal(err)
	}
	client.SetLinger(0)
	client.Close()
	if _, _, denial := newPipe(server, make(chan *stream.Result, 1)).Peek(20 * time.Second); denial == nil || denial.Code != countersign.ClientClosed {
		t.Errorf("got %v, want %s", denial, countersign.ClientClosed)
	}
}

// An expulsion does not wait for a client that says nothing.
func TestAnExpulsionEndsTheWaitForTheBeginning(t *testing.T) {
	client, server := pair(t)
	ended := make(chan *stream.Result, 1)
	p := newPipe(server, ended)
	why := countersign.Deny(countersign.StageVerify, countersign.ClientCertCrlHit, "revoked")
	peeked := make(chan struct{})
	go func() {
		defer close(peeked)
		p.Peek(time.Hour)
	}()
	p.Expel(why)
	select {
	case <-peeked:
	case <-time.After(20 * time.Second):
		t.Fatal("it still waits")
	}
	p.Refuse(countersign.Deny(countersign.StageRoute, countersign.NoRoute, "nowhere"), true)
	if r := <-ended; r.Denial != why {
		t.Errorf("ended with %+v", r)
	}
	if _, err := client.Read(make([]byte, 1)); errors.Is(err, net.ErrClosed) || err == nil {
		t.Errorf("the client heard %v", err)
	}
}
