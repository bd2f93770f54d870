package soak

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/test/gateway"
)

// A load is clients at work.
type load struct {
	t       *testing.T
	gateway *gateway.Gateway
	web     string // addresses of the listeners
	h2      string
	rpc     string

	kinds   []*kind
	work    sync.RWMutex // held for reading by who works
	over    chan struct{}
	once    sync.Once // over is closed
	workers sync.WaitGroup
	failed  atomic.Int32
	lists   atomic.Int32 // that came into force since the start
}

// A kind of work is done by several workers, each with a certificate and with
// connections of its own.
type kind struct {
	name  string
	begin func(*worker) (act func(context.Context) error, end func())
	acts  atomic.Int64
}

// A worker does one kind of work again and again.
type worker struct {
	*load
	rand   *rand.Rand
	device *testpki.Certificate
	name   string // the certificate's
}

const (
	workersPerKind = 2
	pause          = 25 * time.Millisecond // between the acts of a worker: other tests run beside this one
	mostFailures   = 20                    // that are told
)

func newLoad(t *testing.T, g *gateway.Gateway) *load {
	return &load{
		t: t, gateway: g, over: make(chan struct{}),
		web: g.Address("127.0.0.1:0"), h2: g.Address("127.0.0.2:0"), rpc: g.Address("127.0.0.3:0"),
		kinds: []*kind{
			{name: "requests over HTTP/1.1", begin: requests(http1, toWeb)},
			{name: "requests over HTTP/1.1 to HTTP/2", begin: requests(http1, toH2)},
			{name: "requests over HTTP/2", begin: requests(http2, toWeb)},
			{name: "requests over HTTP/2 to HTTP/2", begin: requests(http2, toH2)},
			{name: "full handshakes", begin: handshakes(false)},
			{name: "resumed handshakes", begin: handshakes(true)},
			{name: "WebSockets over HTTP/1.1", begin: webSockets(dialHTTP1, false)},
			{name: "WebSockets over HTTP/2", begin: webSockets(dialHTTP2, false)},
			{name: "a WebSocket over HTTP/1.1 that stays", begin: webSockets(dialHTTP1, true)},
			{name: "a WebSocket over HTTP/2 that stays", begin: webSockets(dialHTTP2, true)},
			{name: "gRPC calls", begin: calls},
			{name: "gRPC streams", begin: streams(false)},
			{name: "a gRPC stream that stays", begin: streams(true)},
		},
	}
}

// start has all workers begin.
func (l *load) start() {
	for i, k := range l.kinds {
		for j := range workersPerKind {
			w := &worker{load: l, rand: rand.New(rand.NewPCG(uint64(i), uint64(j))), name: fmt.Sprintf("device-%d-%d", i, j)}
			w.device = l.gateway.Fleet.Client(w.name)
			l.workers.Go(func() { w.run(k) })
		}
	}
}

func (w *worker) run(k *kind) {
	act, end := k.begin(w)
	defer end()
	next := time.NewTicker(pause)
	defer next.Stop()
	for {
		select {
		case <-w.over:
			return
		case <-next.C:
		}
		w.work.RLock()
		ctx, cancel := context.WithTimeout(context.Background(), gateway.Patience)
		err := act(ctx)
		cancel()
		w.work.RUnlock()
		if k.acts.Add(1); err == nil {
			continue
		}
		if w.failed.Add(1) <= mostFailures {
			w.t.Errorf("%s, %s, act %d: %v", k.name, w.name, k.acts.Load(), err)
		}
		return
	}
}

// healthy reports whether it makes sense to go on.
func (l *load) healthy() bool { return l.failed.Load() == 0 }

// stop ends all workers, in order.
func (l *load) stop() {
	l.once.Do(func() { close(l.over) })
	l.workers.Wait()
}

// String says how much was done.
func (l *load) String() string {
	var said []string
	for _, k := range l.kinds {
		said = append(said, fmt.Sprintf("%s %d", k.name, k.acts.Load()))
	}
	return strings.Join(said, ", ")
}

// tls is how w connects; each use of it resumes no session of another.
func (w *worker) tls(protocols ...string) *tls.Config {
	return &tls.Config{
		RootCAs: w.gateway.Web.Pool(), ServerName: "localhost", NextProtos: protocols,
		Certificates: []tls.Certificate{w.device.TLS()},
	}
}

// some is a piece of the content: of up to 8 KiB mostly, of up to 1 MiB at times.
func (w *worker) some() (from, to int) {
	from = w.rand.IntN(len(content) / 2)
	if w.rand.IntN(16) == 0 {
		return from, from + w.rand.IntN(1<<20+1)
	}
	return from, from + w.rand.IntN(8<<10)
}
