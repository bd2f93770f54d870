package stream

import (
	"bytes"
	"context"
	"errors"
	"net"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/route"
)

// Terms are under what the bytes of a connection are forwarded.
type Terms struct {
	// Grant is leave to forward them.
	Grant authorize.Grant
	// Private are the client's own connections to targets; nil for a group whose
	// targets are not told of clients.
	Private *upstream.Private
	// Asker is for whom a target is picked.
	Asker upstream.Asker
	// Protocol is what was agreed upon with the client by ALPN; "": nothing.
	Protocol string
	// Preface was read from the client already; nil: more may be.
	Preface []byte
}

// A Result is what became of a connection.
type Result struct {
	End    End
	Denial *countersign.Denial // why the gateway ended it, if it did
	Action route.Action        // that was granted; zero: none was
	Tried  []*upstream.Target  // the last one was connected to, if any was
	// TargetProtocol is what the target has chosen by ALPN; "": nothing.
	TargetProtocol string
	// Began is when a target was looked for, Chosen when one was connected; zero: none was.
	Began, Chosen  time.Time
	Received, Sent int64 // from and to the client
	Alert          int   // the TLS alert by which the client broke off; -1: none
}

// mostTargets bounds how many targets one connection can be offered to; the
// configuration allows no more.
const mostTargets = 10

// Refuse ends a connection that goes nowhere.
func (p *Pipe) Refuse(d *countersign.Denial, reset bool) {
	p.stop(&ending{how: Refused, denial: d, resets: reset})
	p.finish()
}

// Forward connects to a target of the granted group and carries bytes for as long
// as there are some; it returns when the connection is over, or silent. A zero
// Grant is refused.
func (p *Pipe) Forward(t Terms) {
	if !t.Grant.Given() {
		p.Refuse(countersign.Deny(countersign.StageForward, countersign.CredentialNotProven,
			"forwarding was asked for without a grant; this is a fault in countersign, please report it"), true)
		return
	}
	p.result.Action, p.result.Began = t.Grant.Action(), time.Now()
	if t.Preface == nil {
		t.Preface = p.ahead()
	}
	if denial := p.connect(&t); denial != nil {
		p.Refuse(denial, true) // a target that closed in order would have said so
		return
	}
	p.result.Chosen = time.Now()
	p.moved.Store(p.result.Chosen.UnixNano())
	p.up.preface = t.Preface
	p.left.Store(2)
	go p.down.start()
	p.up.start()
}

// ahead reads what a client of TLS has said already behind its handshake, a few
// packets at most: so that a target hears it with the connection.
func (p *Pipe) ahead() []byte {
	if p.client.tls == nil {
		return nil
	}
	defer p.up.Return()
	buf := p.up.Borrow()[:firstPeek]
	n, _ := p.client.tls.ReadNow(buf) // what was the matter, the next read says again
	return bytes.Clone(buf[:n])
}

// connect connects to one target after the other, until one is there.
func (p *Pipe) connect(t *Terms) (denial *countersign.Denial) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.connecting(cancel)
	defer p.connecting(nil) // nothing of it is kept for as long as bytes are carried
	group, asker := p.result.Action.Forward, t.Asker
	asker.Gone, asker.Peer = ctx.Done(), caller{p.cfg.Socket}
	for n := range min(group.Attempts(), mostTargets) {
		target, none := group.Pick(asker, p.result.Tried...)
		if none != nil {
			if n == 0 {
				denial = none
			}
			return denial // else the reason why the last one failed says more
		}
		p.result.Tried = append(p.result.Tried, target)
		conn, err := dial(ctx, t, target)
		if err == nil {
			p.result.TargetProtocol = conn.Protocol()
			err = p.attach(conn, target)
		}
		if err == nil {
			return nil
		}
		group.Done(target)
		if e := p.ending.Load(); e != nil {
			return e.denial
		}
		denial = unreachable(err)
	}
	return denial
}

// connecting has cancel called if the pipe ends.
func (p *Pipe) connecting(cancel context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel = cancel; cancel != nil && p.ending.Load() != nil {
		cancel()
	}
}

func dial(ctx context.Context, t *Terms, target *upstream.Target) (*pool.Conn, error) {
	listens := len(t.Preface) == 0
	if t.Private != nil {
		return t.Private.DialAs(ctx, target, t.Protocol, listens)
	}
	return target.DialAs(ctx, t.Protocol, listens)
}

// attach makes conn the way to target, or gives it up.
func (p *Pipe) attach(conn *pool.Conn, target *upstream.Target) error {
	way, ok := conn.NetConn().(Conn)
	if !ok {
		conn.Release(false)
		return errors.New("the connection cannot be closed in one direction alone")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending.Load() != nil {
		conn.Release(false)
		return errEnding
	}
	p.target.init(way, conn.Net())
	p.conn, p.to, p.attached = conn, target, true
	conn.OnEnd(func() {
		p.up.call()
		p.down.call()
	})
	return nil
}

// release gives the connection to the target back, which closes it.
func (p *Pipe) release() {
	p.conn.Release(false)
	p.result.Action.Forward.Done(p.to)
}

func unreachable(err error) *countersign.Denial {
	if d, ok := errors.AsType[*countersign.Denial](err); ok { // of TLS
		return d
	}
	code := countersign.TargetConnectFailed
	if timedOut(err) {
		code = countersign.TargetTimeout
	}
	return countersign.Deny(countersign.StageForward, code, "%v", err)
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}
