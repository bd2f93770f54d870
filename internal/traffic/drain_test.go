package traffic_test

import (
	"context"
	"io"
	"net"
	nethttp "net/http"
	"testing"
	"time"
)

// A gate is a backend that answers only when it is let.
type gate struct {
	address string
	asked   chan struct{} // a request is there
	let     chan struct{} // answer one, or all once it is closed
}

func newGate(t testing.TB) *gate {
	g := &gate{asked: make(chan struct{}, 16), let: make(chan struct{})}
	g.address = serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		g.asked <- struct{}{}
		select {
		case <-g.let:
			io.WriteString(w, "{}")
		case <-q.Context().Done():
		}
	})
	return g
}

// drain begins to drain; the number of connections cut comes when it is done.
func (r *rig) drain(ctx context.Context) <-chan int {
	cut := make(chan int, 1)
	go func() { cut <- r.node.Drain(ctx) }()
	for !r.node.Draining() {
		time.Sleep(time.Millisecond) // until it has begun
	}
	return cut
}

func (r *rig) drained(cut <-chan int, want int) {
	r.t.Helper()
	select {
	case n := <-cut:
		if n != want {
			r.t.Errorf("%d connections were cut, want %d", n, want)
		}
	case <-time.After(patience):
		r.t.Fatal("the drain does not end")
	}
	if n := r.node.Connections(); n != 0 {
		r.t.Errorf("a drained node holds %d connections", n)
	}
}

func TestADrainLetsExchangesFinishAndEndsIdleConnections(t *testing.T) {
	for name, config := range map[string]string{"https": fleetConfig, "http": httpConfig} {
		t.Run(name, func(t *testing.T) {
			slow := newGate(t)
			r := startBefore(t, slow.address, config)
			connect := func() *client {
				if name == "http" {
					return r.plain("127.0.0.1:0")
				}
				return r.dial(r.root.Client("MacID-1"))
			}
			address := r.address("127.0.0.1:0")
			idle, busy := connect(), connect()
			idle.send()
			<-slow.asked
			slow.let <- struct{}{}
			idle.reply().served(t)
			busy.send()
			<-slow.asked

			cut := r.drain(t.Context())
			idle.ended()
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Close()
				t.Error("the socket is still open")
			}
			close(slow.let)
			p := busy.reply()
			p.served(t)
			if !p.Close {
				t.Errorf("the last answer lacks Connection: close: %v", p.Header)
			}
			busy.ended()
			r.drained(cut, 0)
		})
	}
}

func TestADrainThatTakesTooLongCutsAndSaysHowMany(t *testing.T) {
	slow := newGate(t)
	r := startBefore(t, slow.address, fleetConfig)
	var clients []*client
	for range 3 {
		c := r.dial(r.root.Client("MacID-1"))
		c.send()
		<-slow.asked
		clients = append(clients, c)
	}
	idle := r.dial(r.root.Client("MacID-1"))
	over, cancel := context.WithCancel(t.Context())
	cut := r.drain(over)
	idle.ended()
	r.until("the idle connection is gone", func() bool { return r.node.Connections() == 3 })
	cancel()
	r.drained(cut, 3)
	for _, c := range clients {
		c.ended()
	}
	r.stop()
	if lines, _ := r.journal.of(event{"event": "access"}); len(lines) != 3 {
		t.Errorf("%d lines, want one for each request that was cut: %v", len(lines), lines)
	}
}

func TestADrainEndsAHandshakeUnderWay(t *testing.T) {
	r := start(t, fleetConfig)
	c := r.plain("127.0.0.1:0")
	if _, err := c.conn.Write([]byte{22, 3, 1}); err != nil { // a record begins
		t.Fatal(err)
	}
	for r.node.Connections() == 0 {
		time.Sleep(time.Millisecond) // until it is accepted
	}
	cut := r.drain(t.Context())
	c.ended()
	r.drained(cut, 0)
	r.stop()
	if lines, _ := r.journal.of(event{"event": "connection"}); len(lines) != 1 || lines[0]["denial_code"] != "ShuttingDown" {
		t.Errorf("want one line with ShuttingDown, got %v", lines)
	}
}

func TestADrainedNodeTakesNoConfiguration(t *testing.T) {
	r := start(t, fleetConfig)
	r.drained(r.drain(t.Context()), 0)
	if err := r.publisher.Publish(t.Context()); err == nil {
		t.Error("a configuration came into force on a node that is shutting down")
	}
	if a := r.node.Addresses(); len(a) != 0 {
		t.Errorf("it listens at %v", a)
	}
}
