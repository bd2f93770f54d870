package handshake

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/handshake/turns"
	"countersign.dev/internal/traffic/verify"
)

// taken returns a gate whose one turn somebody has, and gives back.
func taken(t *testing.T) (gate *turns.Gate, give func()) {
	t.Helper()
	gate = turns.NewGate(nil)
	p := new(turns.Place)
	p.Enter(gate, Limits{AtOnce: 1, Waiting: 1}, time.Now(), nil)
	if err := p.Take(); err != nil {
		t.Fatal(err)
	}
	return gate, p.Leave
}

func bounded(t *testing.T, timeout time.Duration, waiting int) (*world, *Server) {
	w := newWorld(t)
	p := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root)}
	return w, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p),
		Timeout: timeout, Limits: Limits{AtOnce: 1, Waiting: waiting}})
}

func TestWithoutATurnInTimeAHandshakeIsRefused(t *testing.T) {
	w, s := bounded(t, 50*time.Millisecond, 1)
	gate, give := taken(t)
	defer give()
	client, raw := pair(t)
	failed := make(chan error, 1)
	go func() { failed <- tls.Client(client, w.client("api.example.com", w.root.Client("device"))).Handshake() }()
	conn, out := s.Handshake(context.Background(), raw, gate)
	if conn != nil || !out.Refused || out.Silent || code(out.Denial) != countersign.HandshakeLimit || !strings.Contains(out.Denial.Reason, "timeouts.handshake") {
		t.Errorf("outcome %+v: %v", out, out.Denial)
	}
	if err := <-failed; err == nil {
		t.Error("the client is admitted")
	}
}

func TestOneHandshakeTooManyIsRefusedAtOnce(t *testing.T) {
	w, s := bounded(t, time.Minute, 1)
	gate, give := taken(t)
	first, firstRaw := pair(t)
	outcomes := make(chan Outcome, 1)
	shook := make(chan error, 1)
	go func() { shook <- tls.Client(first, w.client("api.example.com", w.root.Client("device"))).Handshake() }()
	go func() {
		conn, out := s.Handshake(context.Background(), firstRaw, gate)
		if conn != nil {
			conn.Close()
		}
		outcomes <- out
	}()
	for end := time.Now().Add(20 * time.Second); gate.Waiting() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody waits")
		}
	}
	second, secondRaw := pair(t)
	go tls.Client(second, w.client("api.example.com", nil)).Handshake() // ends with the socket
	if _, out := s.Handshake(context.Background(), secondRaw, gate); code(out.Denial) != countersign.HandshakeLimit ||
		!strings.Contains(out.Denial.Reason, "limits.waiting_handshakes") {
		t.Errorf("one too many: %v", out.Denial)
	}
	give()
	if err := <-shook; err != nil {
		t.Error(err)
	}
	if out := <-outcomes; out.Denial != nil {
		t.Errorf("the one that waited: %v", out.Denial)
	}
}

// Whatever becomes of a handshake, the next one finds the turn free: with one
// turn and nobody who may wait, any that was kept would show.
func TestTheTurnIsGivenBackHoweverAHandshakeEnds(t *testing.T) {
	w, s := bounded(t, 300*time.Millisecond, 1)
	gate := turns.NewGate(nil)
	device := w.root.Client("device")
	for _, c := range []struct {
		name   string
		client func(peer *tls.Conn, raw io.ReadWriteCloser)
		code   countersign.Code
	}{
		{"silence after the first bytes", func(_ *tls.Conn, raw io.ReadWriteCloser) { raw.Write([]byte{22, 3, 1}) }, countersign.HandshakeTimeout},
		{"garbage", func(_ *tls.Conn, raw io.ReadWriteCloser) { raw.Write([]byte("garbage and more of it")) }, countersign.HandshakeFailed},
		{"closed within", func(_ *tls.Conn, raw io.ReadWriteCloser) { raw.Write([]byte{22, 3, 1}); raw.Close() }, countersign.HandshakeFailed},
		{"admitted", func(peer *tls.Conn, _ io.ReadWriteCloser) { peer.Handshake() }, ""},
		{"admitted again", func(peer *tls.Conn, _ io.ReadWriteCloser) { peer.Handshake() }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, raw := pair(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.client(tls.Client(client, w.client("api.example.com", device)), client)
			}()
			conn, out := s.Handshake(context.Background(), raw, gate)
			<-done
			if code(out.Denial) != c.code {
				t.Errorf("%v, want %q", out.Denial, c.code)
			}
			free := new(turns.Place)
			free.Enter(gate, Limits{AtOnce: 1}, time.Now(), nil)
			if err := free.Take(); err != nil {
				t.Errorf("the turn is not free: %v", err)
			}
			free.Leave()
			if conn != nil {
				conn.Close()
			}
		})
	}
}

// A client that is waited for holds no turn: others come in past it.
func TestASilentClientHoldsNoTurn(t *testing.T) {
	w, s := bounded(t, time.Minute, 3)
	gate := turns.NewGate(nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 3)
	for range cap(ended) {
		silent, raw := pair(t)
		silent.Write([]byte{22, 3, 1, 2, 0})
		go func() { s.Handshake(ctx, raw, gate); ended <- struct{}{} }()
	}
	client, raw := pair(t)
	shook := make(chan error, 1)
	go func() { shook <- tls.Client(client, w.client("api.example.com", w.root.Client("device"))).Handshake() }()
	conn, out := s.Handshake(context.Background(), raw, gate)
	if err := <-shook; err != nil || out.Denial != nil {
		t.Fatal(err, out.Denial)
	}
	conn.Close()
	cancel()
	for range cap(ended) {
		<-ended
	}
}

// A certificate chain of which the client reads nothing is more than the kernel
// takes; a turn is not held for it, and so a gate with one turn goes on.
func TestTheClientIsNotWaitedForWithATurn(t *testing.T) {
	gate := turns.NewGate(nil)
	client, raw := pair(t)
	c := &line{Conn: raw}
	c.bound(gate, Limits{AtOnce: 1, Waiting: 1}, time.Now().Add(time.Minute), nil)
	defer c.unbound()
	if err := c.turn.Take(); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() { _, err := c.Write(make([]byte, 32<<20)); wrote <- err }()
	other := new(turns.Place)
	other.Enter(gate, Limits{AtOnce: 1, Waiting: 1}, time.Now().Add(20*time.Second), nil)
	if err := other.Take(); err != nil {
		t.Errorf("no turn while another waits for its client: %v", err)
	}
	other.Leave()
	if _, err := io.CopyN(io.Discard, client, 32<<20); err != nil {
		t.Error(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// A taker has somebody else take the turn before its client's second flight.
type taker struct {
	net.Conn
	flights int
	take    func()
}

func (c *taker) Write(p []byte) (int, error) {
	if c.flights++; c.flights == 2 {
		c.take()
	}
	return c.Conn.Write(p)
}

// What is left of a handshake that resumes is too small to wait for a turn.
func TestOnlyAClientThatProvesSomethingNeedsASecondTurn(t *testing.T) {
	w := newWorld(t)
	p := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Resumption: true, Store: store(t, "fleet", verify.Config{}, w.root)}
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p), Keys: NewTicketKeys(TicketKeysConfig{}),
		Timeout: 300 * time.Millisecond})
	device := w.root.Client("device")
	meet := func(gate *turns.Gate, raw, client net.Conn, config *tls.Config) Outcome {
		said := make(chan struct{})
		go func() {
			defer close(said)
			defer client.Close()
			peer := tls.Client(client, config)
			peer.Handshake()
			peer.Read(make([]byte, 1)) // the ticket, and the end
		}()
		conn, out := s.Handshake(context.Background(), raw, gate)
		if conn != nil {
			conn.Write(nil) // the ticket goes out
			conn.Close()
		}
		<-said
		return out
	}
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		config := p.on(w.client("api.example.com", device), v)
		for _, c := range []struct {
			resumed bool
			code    countersign.Code
		}{{false, countersign.HandshakeLimit}, {true, ""}} {
			if c.resumed {
				client, raw := pair(t)
				if out := meet(nil, raw, client, config); out.Denial != nil {
					t.Fatal(out.Denial)
				}
			}
			gate, other := turns.NewGate(nil), new(turns.Place)
			other.Enter(gate, Limits{AtOnce: 1}, time.Now(), nil)
			client, raw := pair(t)
			s.limits = Limits{AtOnce: 1, Waiting: 1}
			out := meet(gate, raw, &taker{Conn: client, take: func() {
				if err := other.Take(); err != nil {
					t.Error(err)
				}
			}}, config)
			other.Leave()
			if out.State.DidResume != c.resumed || code(out.Denial) != c.code {
				t.Errorf("resumed %v, want %v: %v", out.State.DidResume, c.resumed, out.Denial)
			}
		}
	})
}
