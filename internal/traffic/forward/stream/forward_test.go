package stream_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection over loopback.
func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	dialed.SetDeadline(time.Now().Add(20 * time.Second))
	return dialed.(*net.TCPConn), accepted.(*net.TCPConn)
}

func newPipe(server *net.TCPConn, ended chan<- *stream.Result) *stream.Pipe {
	return stream.New(stream.Config{
		Client: server, Socket: server, Settings: &stream.Settings{Idle: time.Minute}, Accepted: time.Now(), Silence: time.Second,
		Guard: func(part func()) bool { part(); return true }, Done: func(r *stream.Result) { ended <- r },
	})
}

// The zero Grant proves nothing.
func TestNothingIsForwardedWithoutAGrant(t *testing.T) {
	client, server := pair(t)
	ended := make(chan *stream.Result, 1)
	newPipe(server, ended).Forward(stream.Terms{})
	r := <-ended
	if r.Denial == nil || r.Denial.Code != countersign.CredentialNotProven || r.End != stream.Refused || len(r.Tried) > 0 {
		t.Errorf("ended with %+v", r)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client heard %v, want a reset", err)
	}
}

// What ends a connection first is the reason why it ended.
func TestTheFirstReasonStands(t *testing.T) {
	client, server := pair(t)
	ended := make(chan *stream.Result, 1)
	p := newPipe(server, ended)
	why := countersign.Deny(countersign.StageVerify, countersign.ClientCertCrlHit, "revoked")
	p.Expel(why)
	p.Refuse(countersign.Deny(countersign.StageRoute, countersign.NoRoute, "nowhere"), true)
	if r := <-ended; r.Denial != why || r.End != stream.Expelled {
		t.Errorf("ended with %+v", r)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client heard %v, want the end", err)
	}
}
