package http

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// switchProtocols tells the client and then passes bytes both ways until both
// sides have ended (RFC 9110 section 7.8). An end in one direction is passed on as an
// end of that direction alone; a silence of both for longer than set.Idle ends all.
func (e *Exchange) switchProtocols(l line) outcome {
	if !offered(e.upgrade(), e.response.UpgradeTo) {
		e.result.Denial = countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"target %s switched to protocol %q, which it was not asked to", l.target().Address(), e.response.UpgradeTo)
		return spoiled
	}
	if e.result.Denial = e.checkAccept(l); e.result.Denial != nil {
		return spoiled
	}
	target, early := l.tunnel(e)
	e.result.Status, e.result.Answered, e.result.Switched = e.switched(), true, true
	client, err := e.sink.tunnel(e, early)
	if err != nil {
		return e.clientGone(err)
	}

	t := &tunnel{e: e, client: client, target: target}
	t.moved.Store(time.Now().UnixNano())
	e.client.tunnels.enter(t)
	defer e.client.tunnels.leave(t)
	over := make(chan struct{})
	var asking sync.WaitGroup
	if anew := e.terms.Anew; anew > 0 {
		asking.Go(func() { t.askAnew(anew, over) })
	}
	upward := make(chan struct{})
	go func() {
		defer close(upward)
		defer t.fault.keep(t.fail)
		t.pass(t.client, t.target, &t.received)
	}()
	t.pass(t.target, t.client, new(int64))
	<-upward
	close(over)
	asking.Wait()
	t.fault.raise()
	t.doubted.raise()
	t.asking.Lock()
	e.result.Denial = t.denial
	t.asking.Unlock()
	e.received += t.received
	return spoiled
}

// switched is the status by which the client learns of a switch of protocols.
func (e *Exchange) switched() int {
	if e.Request.HTTP2 {
		return 200
	}
	return 101
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
	e              *Exchange
	client, target duplex
	moved          atomic.Int64 // UnixNano of the last byte in either direction
	broken         atomic.Bool  // one direction failed: the other has no purpose
	received       int64

	asking  sync.Mutex
	denial  *countersign.Denial // why it was ended
	fault   fault               // of the goroutine that passes bytes up
	doubted fault               // and of the one that asks anew
}

// askAnew asks every so often whether bytes may pass still, though none do, until
// the tunnel is over.
func (t *tunnel) askAnew(often time.Duration, over <-chan struct{}) {
	defer t.doubted.keep(t.fail)
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			if !t.may() {
				return
			}
		}
	}
}

// may reports whether bytes may pass still; if not, it ends the tunnel.
func (t *tunnel) may() bool {
	if t.e.terms.Still == nil {
		return true
	}
	t.asking.Lock()
	defer t.asking.Unlock()
	if t.denial == nil {
		t.denial = t.e.terms.Still()
	}
	if t.denial != nil {
		t.fail()
	}
	return t.denial == nil
}

// end ends the tunnel for that reason, unless there is one already.
func (t *tunnel) end(why *countersign.Denial) {
	t.asking.Lock()
	defer t.asking.Unlock()
	if t.denial == nil {
		t.denial = why
	}
	t.fail()
}

// idle reports whether err is a timeout of a tunnel in which nothing moves;
// a timeout of a direction that is merely silent is false.
func (t *tunnel) idle(err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded) ||
		t.broken.Load() || t.e.client.closing.Load() ||
		time.Since(time.Unix(0, t.moved.Load())) >= t.e.set.Idle
}

// fail ends both directions at once.
func (t *tunnel) fail() {
	t.broken.Store(true)
	t.target.wake()
	t.client.wake()
}

// pass carries bytes in one direction until that ends.
func (t *tunnel) pass(from, to duplex, count *int64) {
	buf := records.Get().(*[recordSize]byte)
	defer records.Put(buf)
	for {
		n, err := from.read(buf[:], t.e.set.Idle, &t.broken)
		if n > 0 {
			t.moved.Store(time.Now().UnixNano())
			if !t.may() {
				return
			}
			if to.write(buf[:n]) != nil {
				t.fail()
				return
			}
			*count += int64(n)
			continue
		}
		switch {
		case err == io.EOF:
			to.closeWrite()
			return
		case t.idle(err):
			t.fail()
			return
		}
	}
}
