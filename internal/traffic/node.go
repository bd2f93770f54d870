package traffic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/listen"
)

// Config is what a Node needs beside its snapshots.
type Config struct {
	Logger *slog.Logger
}

// A Node serves the listeners of the snapshot published last.
type Node struct {
	log     *slog.Logger
	current atomic.Pointer[snapshot.Snapshot]
	gate    listen.Gate

	ctx    context.Context // ends when no handshake is of use any more
	cancel context.CancelFunc

	mu       sync.Mutex
	sockets  map[string]*listen.Socket // by address as configured
	sessions map[*session]struct{}
	draining bool
	running  sync.WaitGroup // accept loops and sessions
}

// New returns a Node that serves nothing yet.
func New(cfg Config) *Node {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{log: cfg.Logger, sockets: map[string]*listen.Socket{}, sessions: map[*session]struct{}{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Current is the snapshot in force, nil before the first.
func (n *Node) Current() *snapshot.Snapshot { return n.current.Load() }

// Connections is how many the node holds.
func (n *Node) Connections() int { return n.gate.Open() }

// Addresses maps each configured address that is open to the one it is bound to.
func (n *Node) Addresses() map[string]net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := make(map[string]net.Addr, len(n.sockets))
	for address, s := range n.sockets {
		m[address] = s.Addr()
	}
	return m
}

// Sockets are addresses that were opened for a snapshot to come.
type Sockets struct{ opened map[string]*listen.Socket }

// Close gives the sockets up again, if no snapshot took them.
func (s Sockets) Close() {
	for _, socket := range s.opened {
		socket.Close()
	}
}

// Open opens those of addresses that the node does not listen on yet, all or
// none. Nothing is accepted before Publish.
func (n *Node) Open(ctx context.Context, addresses []string) (Sockets, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Sockets{opened: map[string]*listen.Socket{}}
	var errs []error
	for _, address := range addresses {
		if n.sockets[address] != nil {
			continue
		}
		socket, err := listen.Open(ctx, address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.opened[address] = socket
	}
	if err := errors.Join(errs...); err != nil {
		s.Close()
		return Sockets{}, err
	}
	return s, nil
}

// Publish puts snap into force, with the sockets that Open returned for it.
// Connections of listeners that are gone end after the exchange under way; all
// others go on under snap. It fails only once the node drains.
func (n *Node) Publish(snap *snapshot.Snapshot, sockets Sockets) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		sockets.Close()
		return errors.New("the node is shutting down")
	}
	n.gate.SetLimit(snap.MaxConnections)
	n.current.Store(snap)
	for address, socket := range n.sockets {
		if snap.At(address) == nil {
			delete(n.sockets, address)
			socket.Close()
		}
	}
	for address, socket := range sockets.opened {
		n.sockets[address] = socket
		n.running.Go(func() { n.serve(address, socket) })
	}
	for s := range n.sessions {
		if l := snap.At(s.address); l == nil || l.Name != s.name {
			s.front.Interrupt()
		}
	}
	return nil
}

func (n *Node) serve(address string, socket *listen.Socket) {
	socket.Serve(func(conn net.Conn) {
		if !n.gate.Enter() {
			n.refuseFull(address, conn)
			return
		}
		n.running.Go(func() {
			defer n.gate.Leave()
			s := &session{node: n, raw: conn, address: address}
			defer s.survive()
			s.run()
		})
	}, func(err error) { n.log.Error("cannot accept connections", "error", err) })
}

// survive keeps a fault in this program that one connection has found from
// ending all the others. It ends that one.
func (s *session) survive() {
	if fault := recover(); fault != nil {
		s.raw.Close()
		s.node.log.Error("a fault in countersign ended a connection; please report it",
			"listener", s.name, "client", s.raw.RemoteAddr().String(), "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
	}
}

// enter registers a session that is ready for requests; false when the node
// drains or the listener has gone meanwhile.
func (n *Node) enter(s *session) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining || n.sockets[s.address] == nil {
		return false
	}
	n.sessions[s] = struct{}{}
	return true
}

func (n *Node) forget(s *session) {
	n.mu.Lock()
	delete(n.sessions, s)
	n.mu.Unlock()
}

// Drain stops accepting, lets exchanges under way finish until ctx ends, and
// then cuts what is left. It returns how many connections were cut. The node
// serves nothing afterwards.
func (n *Node) Drain(ctx context.Context) (cut int) {
	n.mu.Lock()
	n.draining = true
	n.cancel() // a handshake under way could only lead to a refusal
	for address, socket := range n.sockets {
		delete(n.sockets, address)
		socket.Close()
	}
	for s := range n.sessions {
		s.front.Interrupt()
	}
	n.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		n.running.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		n.mu.Lock()
		cut = len(n.sessions)
		for s := range n.sessions {
			s.front.Cut()
		}
		n.mu.Unlock()
	}
	<-done
	return cut
}

// Draining reports that Drain was called.
func (n *Node) Draining() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.draining
}
