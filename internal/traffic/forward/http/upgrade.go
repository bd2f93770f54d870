package http

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// switchProtocols answers 101 and then passes bytes both ways until both sides
// have ended (RFC 9110 section 7.8). An end in one direction is passed on as an
// end of that direction alone; a silence of both for longer than set.Idle ends all.
func (a *relay) switchProtocols() outcome {
	f := a.f
	if !offered(f.upgrade(), f.response.UpgradeTo) {
		a.res.Denial = countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"target %s switched to protocol %q, which it was not asked to", a.conn.Target().Address(), f.response.UpgradeTo)
		return spoiled
	}
	f.out = f.appendResponse(f.out[:0], switching, true)
	a.res.Status, a.res.Answered = 101, true
	f.out = append(f.out, a.buf[a.r:a.w]...)
	if err := f.send(f.out); err != nil {
		return a.clientGone(err)
	}

	t := &tunnel{f: f, a: a, early: f.in[f.r:f.w]}
	t.moved.Store(time.Now().UnixNano())
	upward := make(chan struct{})
	go func() {
		defer close(upward)
		defer t.fault.keep(t.fail)
		t.up()
	}()
	t.down()
	<-upward
	t.fault.raise()
	a.res.Denial = t.denial
	f.received += t.received
	f.r, f.w = 0, 0
	return spoiled
}

// offered reports whether the protocols chosen, one or several in layers, are
// all among those asked for (RFC 9110 section 7.8).
func offered(asked, chosen []byte) bool {
	if len(chosen) == 0 {
		return false
	}
	for protocol := range bytes.SplitSeq(chosen, []byte{','}) {
		if !http1.HasToken(asked, bytes.TrimSpace(protocol)) {
			return false
		}
	}
	return true
}

// A tunnel is a connection after a switch of protocols.
type tunnel struct {
	f        *Front
	a        *relay
	early    []byte       // what the client sent on the heels of its request
	moved    atomic.Int64 // UnixNano of the last byte in either direction
	broken   atomic.Bool  // one direction failed: the other has no purpose
	received int64

	asking sync.Mutex
	denial *countersign.Denial // why it was ended
	fault  fault               // of the goroutine that passes bytes up
}

// may reports whether bytes may pass still; if not, it ends the tunnel.
func (t *tunnel) may() bool {
	if t.a.x.Still == nil {
		return true
	}
	t.asking.Lock()
	defer t.asking.Unlock()
	if t.denial == nil {
		t.denial = t.a.x.Still()
	}
	if t.denial != nil {
		t.fail()
	}
	return t.denial == nil
}

// idle reports whether err is a timeout of a tunnel in which nothing moves;
// a timeout of a direction that is merely silent is false.
func (t *tunnel) idle(err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded) ||
		t.broken.Load() || t.f.closing.Load() ||
		time.Since(time.Unix(0, t.moved.Load())) >= t.f.set.Idle
}

// fail ends both directions at once.
func (t *tunnel) fail() {
	t.broken.Store(true)
	abort(t.a.conn)
	t.f.conn.SetReadDeadline(time.Unix(1, 0))
}

// up passes bytes from the client to the target.
func (t *tunnel) up() {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	if len(t.early) > 0 {
		if !t.may() {
			return
		}
		if _, err := writeTo(t.a.conn, t.early, t.f.set.Idle); err != nil {
			t.fail()
			return
		}
		t.received += int64(len(t.early))
	}
	for {
		n, err := t.f.readClient(buf[:], t.f.set.Idle, &t.broken)
		if n > 0 {
			t.moved.Store(time.Now().UnixNano())
			t.received += int64(n)
			if !t.may() {
				return
			}
			if _, err := writeTo(t.a.conn, buf[:n], t.f.set.Idle); err != nil {
				t.fail()
				return
			}
			continue
		}
		switch {
		case isEnd(err):
			closeWrite(t.a.conn)
			return
		case t.idle(err):
			t.fail()
			return
		}
	}
}

// down passes bytes from the target to the client.
func (t *tunnel) down() {
	a := t.a
	for {
		n, err := readFrom(a.conn, a.buf, t.f.set.Idle)
		if n > 0 {
			t.moved.Store(time.Now().UnixNano())
			if !t.may() {
				return
			}
			if t.f.send(a.buf[:n]) != nil {
				t.fail()
				return
			}
			continue
		}
		switch {
		case isEnd(err):
			t.f.conn.CloseWrite()
			return
		case t.idle(err):
			t.fail()
			return
		}
	}
}
