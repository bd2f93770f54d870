package traffic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/handshake/turns"
	"countersign.dev/internal/traffic/listen"
	"countersign.dev/internal/traffic/listen/parking"
	"countersign.dev/internal/traffic/live"
	"countersign.dev/internal/traffic/socket"
)

// Config is what a Node needs beside its snapshots.
type Config struct {
	Logger *slog.Logger
	// Silence is after how long without a byte a connection is parked, so that
	// it holds no goroutine and no buffer. 0: a second.
	Silence time.Duration
	// Witness is told who was admitted. nil: nobody is.
	Witness Witness
	// Devices knows what is to be known of devices. nil: nothing is.
	Devices devices.Register
}

// A Node serves the listeners of the snapshot published last.
type Node struct {
	log     *slog.Logger
	current atomic.Pointer[snapshot.Snapshot]
	gate    listen.Gate

	ctx    context.Context // ends when no handshake is of use any more
	cancel context.CancelFunc

	mu       sync.Mutex
	doors    map[string]door // by address as configured
	sessions map[*session]struct{}
	draining bool
	running  sync.WaitGroup // accept loops and sessions

	attempts   *credential.Attempts
	witness    Witness // may be nil
	devices    devices.Register
	admitted   *live.Registry
	suspicions atomic.Uint32 // calls of Suspect
	enforcer   *live.Enforcer
	expelled   expulsions

	bell    *turns.Bell  // nil: turns are handed over at once
	lot     *parking.Lot // of silent connections; nil: they are not parked
	silence time.Duration
}

// A door is where connections come in: a socket, and the turns of the
// handshakes of those who came by it.
type door struct {
	*listen.Socket
	turns *turns.Gate
}

// New returns a Node that serves nothing yet.
func New(cfg Config) *Node {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		log: cfg.Logger, silence: cmp.Or(cfg.Silence, silence), witness: cfg.Witness, devices: cfg.Devices,
		doors: map[string]door{}, sessions: map[*session]struct{}{},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.expelled.log = cfg.Logger
	n.attempts = credential.NewAttempts()
	n.admitted = live.NewRegistry()
	n.enforcer = live.NewEnforcer(live.Config{Registry: n.admitted, Ended: n.tellOf, Told: n.expelled.sum})
	var err error
	if n.lot, err = parking.New(); err != nil {
		n.log.Warn("silent connections will take more memory than they need", "error", err)
	}
	if n.bell, err = turns.NewBell(); err != nil {
		n.log.Warn("many handshakes at once will delay established connections more than they need", "error", err)
	}
	return n
}

// Current is the snapshot in force, nil before the first.
func (n *Node) Current() *snapshot.Snapshot { return n.current.Load() }

// Connections is how many the node holds.
func (n *Node) Connections() int { return n.gate.Open() }

// Parked is how many of them are silent, and hold neither goroutine nor buffer.
func (n *Node) Parked() int {
	if n.lot == nil {
		return 0
	}
	return n.lot.Len()
}

// Addresses maps each configured address that is open to the one it is bound to.
func (n *Node) Addresses() map[string]net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := make(map[string]net.Addr, len(n.doors))
	for address, d := range n.doors {
		m[address] = d.Addr()
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

// Unopened are the addresses that cannot be listened on, with the net package's
// errors.
type Unopened map[string]error

// Error names each of them.
func (u Unopened) Error() string {
	lines := make([]string, 0, len(u))
	for _, address := range slices.Sorted(maps.Keys(u)) {
		lines = append(lines, u[address].Error())
	}
	return strings.Join(lines, "\n")
}

// Open opens those of addresses that the node does not listen on yet, all or
// none: its error is Unopened. Nothing is accepted before Publish.
func (n *Node) Open(ctx context.Context, addresses []string) (Sockets, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := Sockets{opened: map[string]*listen.Socket{}}
	var leaving []*listen.Socket
	for address, d := range n.doors {
		if !slices.Contains(addresses, address) {
			leaving = append(leaving, d.Socket)
		}
	}
	unopened := Unopened{}
	for _, address := range addresses {
		if _, open := n.doors[address]; open {
			continue
		}
		socket, err := listen.Open(ctx, address, leaving...)
		if err != nil {
			unopened[address] = err
			continue
		}
		s.opened[address] = socket
	}
	if len(unopened) > 0 {
		s.Close()
		return Sockets{}, unopened
	}
	return s, nil
}

// Publish puts snap into force, with the sockets that Open returned for it.
// Connections of listeners that are gone end after the exchange under way. Those
// whose clients are no longer accepted are looked for in the background, and
// expelled; all others go on under snap. It fails only once the node drains.
func (n *Node) Publish(snap *snapshot.Snapshot, sockets Sockets) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		sockets.Close()
		return errors.New("the node is shutting down")
	}
	n.gate.SetLimit(snap.MaxConnections)
	before := n.current.Swap(snap)
	for address, d := range n.doors {
		if snap.At(address) == nil {
			delete(n.doors, address)
			d.Close()
		}
	}
	for address, socket := range sockets.opened {
		d := door{socket, turns.NewGate(n.bell)}
		n.doors[address] = d
		n.running.Go(func() { n.serve(address, d) })
	}
	for _, l := range snap.Listeners {
		if d, open := n.doors[l.Address]; open && l.TLS != nil {
			l.Metrics.WaitingFrom(d.turns.Waiting)
		}
	}
	if before != nil {
		n.leaveNone(before, snap)
		n.enforcer.Suspect(func() []*live.Entry { return n.suspects(before, snap) })
	}
	return nil
}

// leaveNone interrupts the connections of listeners that are gone. n.mu is held.
func (n *Node) leaveNone(before, snap *snapshot.Snapshot) {
	gone := func(was *snapshot.Listener) bool {
		l := snap.At(was.Address)
		return l == nil || l.Name != was.Name || !l.Like(was)
	}
	if !slices.ContainsFunc(before.Listeners, gone) {
		return // so that none of a hundred thousand connections is looked at
	}
	for s := range n.sessions {
		if gone(s.under()) {
			s.interrupt()
		}
	}
}

func (n *Node) serve(address string, d door) {
	var sessions crew
	defer sessions.dismiss()
	d.Serve(func(conn socket.Conn) {
		if !n.gate.Enter() {
			n.refuseFull(address, conn)
			return
		}
		s := &session{node: n, raw: conn, address: address, turns: d.turns}
		n.running.Add(1)
		sessions.do(func() { s.live(s.run) })
	}, func(err error) { n.log.Error("cannot accept connections", "error", err) })
}

// live runs a part of the session that nothing comes behind if it fails.
func (s *session) live(part func()) {
	if !s.guard(part) {
		if s.front != nil {
			s.front.Cut() // with what is under way on other goroutines
		}
		s.crew.wait()
		s.end()
	}
}

// guard runs part. A fault in this program that one connection has found ends
// that one, not all the others.
func (s *session) guard(part func()) (sound bool) {
	defer func() {
		fault := recover()
		if sound = fault == nil; sound {
			return
		}
		s.raw.Close()
		s.node.log.Error("a fault in countersign ended a connection; please report it",
			"listener", s.name, "client", s.from().String(), "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
	}()
	part()
	return true
}

// enter registers a session that is ready for requests; false when the node
// drains or the listener has gone meanwhile.
func (n *Node) enter(s *session) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, open := n.doors[s.address]; n.draining || !open {
		return false
	}
	n.sessions[s] = struct{}{}
	return true
}

// end gives back what the session held of its node. Its connection is closed.
func (s *session) end() {
	if s.ended {
		return
	}
	s.ended = true
	n := s.node
	n.admitted.Remove(&s.entry)
	s.left()
	s.parts()
	s.hangUp()
	if l := s.under(); l != nil {
		l.Metrics.Closed()
	}
	n.mu.Lock()
	delete(n.sessions, s)
	n.mu.Unlock()
	n.gate.Leave()
	n.running.Done()
}

// Drain stops accepting, lets exchanges under way finish until ctx ends, and
// then cuts what is left. It returns how many connections were cut. The node
// serves nothing afterwards.
func (n *Node) Drain(ctx context.Context) (cut int) {
	n.mu.Lock()
	n.draining = true
	n.cancel() // a handshake under way could only lead to a refusal
	for address, d := range n.doors {
		delete(n.doors, address)
		d.Close()
	}
	for s := range n.sessions {
		s.interrupt()
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
	n.enforcer.Close()
	if n.bell != nil {
		n.bell.Close()
	}
	if n.lot != nil {
		n.lot.Close()
	}
	return cut
}

// Draining reports that Drain was called.
func (n *Node) Draining() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.draining
}
