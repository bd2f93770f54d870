package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
)

// ListenerMetrics counts what happens at one listener. All methods are safe for
// concurrent use, and on nil, which counts nothing.
type ListenerMetrics struct {
	name    string
	retired bool // no longer in the configuration; guarded by Metrics.mu

	accepted atomic.Uint64
	open     atomic.Int64
	resumed  atomic.Uint64

	handshakeTime histogram
	requestTime   histogram

	mu         sync.Mutex
	waiting    func() int // handshakes for a turn; nil: none do
	handshakes map[outcome]uint64
	denials    map[denial]uint64
	expelled   map[countersign.Code]uint64
	groups     map[string]*GroupMetrics
	rules      map[string]*RuleMetrics

	own *GroupMetrics // answered without a target group
}

// An outcome is how a handshake ended: admitted, refused (by our rules) or
// failed (as TLS).
type outcome struct {
	result string
	code   countersign.Code
}

type denial struct {
	stage countersign.Stage
	code  countersign.Code
}

func newListenerMetrics(name string) *ListenerMetrics {
	own := new(GroupMetrics)
	return &ListenerMetrics{
		name:       name,
		handshakes: map[outcome]uint64{},
		denials:    map[denial]uint64{},
		expelled:   map[countersign.Code]uint64{},
		groups:     map[string]*GroupMetrics{"": own},
		rules:      map[string]*RuleMetrics{},
		own:        own,
	}
}

// Opened counts an accepted connection.
func (l *ListenerMetrics) Opened() {
	if l != nil {
		l.accepted.Add(1)
		l.open.Add(1)
	}
}

// Closed counts the end of a connection that was Opened.
func (l *ListenerMetrics) Closed() {
	if l != nil {
		l.open.Add(-1)
	}
}

// WaitingFrom says who knows how many handshakes wait for their turn.
func (l *ListenerMetrics) WaitingFrom(count func() int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = count
}

// Handshake counts the end of a TLS handshake. d is nil when the client was
// admitted; latency is observed for handshakes that did not fail.
func (l *ListenerMetrics) Handshake(d *countersign.Denial, resumed bool, latency time.Duration) {
	if l == nil {
		return
	}
	end := outcome{result: "admitted"}
	if d != nil {
		end = outcome{"refused", d.Code}
		if d.Stage == countersign.StageHandshake {
			end.result = "failed"
		}
	}
	if end.result != "failed" && latency >= 0 {
		l.handshakeTime.observe(latency)
	}
	if resumed {
		l.resumed.Add(1)
	}
	l.mu.Lock()
	l.handshakes[end]++
	l.mu.Unlock()
}

// Denied counts a refusal at any stage, of a connection or a request.
func (l *ListenerMetrics) Denied(d *countersign.Denial) {
	if l == nil || d == nil {
		return
	}
	l.mu.Lock()
	l.denials[denial{d.Stage, d.Code}]++
	l.mu.Unlock()
}

// Expelled counts a connection that ends because its client is no longer accepted.
func (l *ListenerMetrics) Expelled(code countersign.Code) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.expelled[code]++
	l.mu.Unlock()
}

// Group returns the handle for requests that go to a target group. It takes a
// lock: call it when a snapshot is built, not for each request.
func (l *ListenerMetrics) Group(name string) *GroupMetrics {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.groups[name]
	if g == nil {
		g = new(GroupMetrics)
		l.groups[name] = g
	}
	return g
}

// keepGroups drops the counters of groups that are not named.
func (l *ListenerMetrics) keepGroups(named map[string][]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.groups {
		if _, ok := named[name]; !ok && name != "" {
			delete(l.groups, name)
		}
	}
}

// RuleMetrics counts the requests that one rule has taken. Its methods are safe on
// nil, which counts nothing.
type RuleMetrics struct{ taken atomic.Uint64 }

// Taken counts a request, whatever came of it.
func (r *RuleMetrics) Taken() {
	if r != nil {
		r.taken.Add(1)
	}
}

// Rules returns the handles for the rules that there are from now on; the counters of
// others are dropped. It takes a lock: call it when a snapshot is built.
func (l *ListenerMetrics) Rules(names []string) []*RuleMetrics {
	all := make([]*RuleMetrics, len(names))
	if l == nil {
		return all
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := map[string]*RuleMetrics{}
	for i, name := range names {
		r := l.rules[name]
		if r == nil {
			r = new(RuleMetrics)
		}
		all[i], now[name] = r, r
	}
	l.rules = now
	return all
}

// Request counts one exchange: the status that the client got (0: none), how
// long it took, bytes from and to the client. g is nil when the listener
// answered by itself. No allocation, no lock.
func (l *ListenerMetrics) Request(g *GroupMetrics, status int, d time.Duration, in, out int64) {
	if l == nil {
		return
	}
	if g == nil {
		g = l.own
	}
	l.requestTime.observe(d)
	if status < minStatus || status > maxStatus {
		status = otherStatus
	}
	g.requests[status-minStatus].Add(1)
	if in > 0 {
		g.received.Add(uint64(in))
	}
	if out > 0 {
		g.sent.Add(uint64(out))
	}
}

// Moved counts bytes of a connection without requests, from and to the client.
func (l *ListenerMetrics) Moved(g *GroupMetrics, in, out int64) {
	if l == nil || g == nil {
		return
	}
	g.received.Add(uint64(in))
	g.sent.Add(uint64(out))
}

// StreamEnded counts the end of a connection without requests, by the name that
// the access log has for it. g is nil when it was let into no group.
func (l *ListenerMetrics) StreamEnded(g *GroupMetrics, end string) {
	if l == nil {
		return
	}
	if g == nil {
		g = l.own
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.streams == nil {
		g.streams = map[string]uint64{}
	}
	g.streams[end]++
}

// Status codes have a counter each (RFC 9110 section 15: three digits, the
// first from 1 to 5); everything else shares one.
const minStatus, maxStatus, otherStatus = 100, 599, 600

// GroupMetrics counts the requests of one listener that went to one target group,
// and the connections.
type GroupMetrics struct {
	requests       [otherStatus - minStatus + 1]atomic.Uint64
	received, sent atomic.Uint64
	streams        map[string]uint64 // by their ends; guarded by the listener's mu
}
