package stream

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/listen/parking"
	"countersign.dev/internal/traffic/socket"
)

// A half is one direction. One goroutine at a time has it, or it is parked.
type half struct {
	pipe     *Pipe
	from, to *side
	other    *half
	preface  []byte // goes first
	bytes    int64
	told     int64             // of them
	toldAt   int64             // UnixNano
	buf      *[bufferSize]byte // borrowed
	first    [1]byte           // what a TLS connection is waited on with
	bulk     bool              // the last read has filled the buffer
	ended    bool              // the end of from was passed on; guarded by the pipe's mu

	mu   sync.Mutex    // held while a place is taken
	spot *parking.Spot // in the lot; nil: none
}

// Borrow is direct.Lender's.
func (h *half) Borrow() []byte {
	if h.buf == nil {
		h.buf = buffers.Get().(*[bufferSize]byte)
	}
	return h.buf[:]
}

// Return is direct.Lender's.
func (h *half) Return() {
	if h.buf != nil {
		buffers.Put(h.buf)
		h.buf = nil
	}
}

// start begins the direction on this goroutine. A fault in it ends the pipe.
func (h *half) start() {
	if !h.pipe.cfg.Guard(h.run) {
		h.pipe.stop(&ending{how: Faulty})
		h.pipe.leave()
	}
}

// run carries bytes until the direction ends, or falls silent and is parked.
func (h *half) run() {
	p, now := h.pipe, time.Now()
	h.toldAt = now.UnixNano()
	if len(h.preface) > 0 {
		h.write(h.preface, now)
		h.preface = nil
	}
	for {
		if p.over(now) {
			break
		}
		var err error
		if now, err = h.carry(now); err == nil {
			continue
		}
		switch {
		case err == io.EOF:
			p.passOn(h)
		case errors.Is(err, os.ErrDeadlineExceeded) && p.ending.Load() == nil:
			h.tell()
			if !p.over(now) && h.park(now) {
				return
			}
			continue
		default:
			p.failed(h, err, false)
		}
		break
	}
	p.leave()
}

// carry waits for bytes, a while at most, and passes on what has come. It returns
// the time after that.
func (h *half) carry(now time.Time) (time.Time, error) {
	p := h.pipe
	if err := h.from.readBy.Arm(h.from.socket.SetReadDeadline, now, p.patience()); err != nil {
		return now, err
	}
	if h.bulk && h.from.tls == nil && h.to.tls == nil {
		return h.splice(now)
	}
	if p.ending.Load() != nil { // whose deadline may have been overwritten
		return now, errEnding
	}
	n, err := h.read()
	now = time.Now()
	if n == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if past, failed := h.from.readBy.Expired(h.from.socket.SetReadDeadline, now); !past && failed == nil {
				return now, nil
			}
		}
		return now, err
	}
	h.bulk = n == bufferSize
	h.moves(now)
	h.write(h.buf[:n], now)
	h.Return()
	return now, nil
}

// moves notes that bytes move, and tells of those before once in a while.
func (h *half) moves(now time.Time) {
	p, at := h.pipe, now.UnixNano()
	p.moved.Store(at)
	if at-h.toldAt >= int64(p.cfg.Silence) {
		h.toldAt = at
		h.tell()
	}
}

// tell tells of the bytes that were passed on since that was told last.
func (h *half) tell() {
	n := h.bytes - h.told
	if h.told = h.bytes; n == 0 {
		return
	}
	if p := h.pipe; h == &p.up {
		p.cfg.Moved(&p.result, n, 0)
	} else {
		p.cfg.Moved(&p.result, 0, n)
	}
}

// write waits until the other side takes b: that is all the back-pressure there is.
func (h *half) write(b []byte, now time.Time) {
	err := h.mayWrite(now)
	if err == nil {
		var n int
		n, err = h.to.conn.Write(b)
		h.bytes += int64(n)
	}
	if err != nil {
		h.pipe.failed(h, err, true)
	}
}

// mayWrite bounds a write. One to TLS cannot be resumed, so that its deadline must
// not come early.
func (h *half) mayWrite(now time.Time) error {
	err := h.to.writeBy.Arm(h.to.socket.SetWriteDeadline, now, 2*h.pipe.set.Idle)
	if err == nil && h.pipe.ending.Load() != nil { // whose deadline may have been overwritten
		return errEnding
	}
	return err
}

// errEnding says that the pipe was ended meanwhile.
var errEnding = errors.New("the connection is ending")

// read waits for something and takes what is there, several TLS records even.
func (h *half) read() (int, error) {
	if h.from.tls == nil {
		return direct.ReadLent(h.from.conn, h)
	}
	n, err := h.from.tls.Read(h.first[:])
	if n == 0 {
		if err == nil { // a record without content
			err = os.ErrDeadlineExceeded
		}
		return 0, err
	}
	buf := h.Borrow()
	buf[0] = h.first[0]
	for n < len(buf) && err == nil && h.from.tls.Buffered() {
		var more int
		more, err = h.from.tls.ReadNow(buf[n:])
		if n += more; more == 0 {
			break
		}
	}
	return n, nil // what was the matter, the next read says again
}

// splice has the kernel move bytes from socket to socket until there are none for
// a moment.
func (h *half) splice(now time.Time) (time.Time, error) {
	p := h.pipe
	h.bulk = false
	if err := h.mayWrite(now); err != nil {
		return now, err
	}
	err := socket.Splice(h.to.socket, h.from.socket, func(n int) {
		now = time.Now()
		h.bytes += int64(n)
		h.bulk = true
		h.moves(now)
		h.mayWrite(now) // or the next write says why not
	})
	now = time.Now()
	broken, writing := errors.AsType[*socket.WriteError](err)
	switch {
	case err == nil:
		return now, io.EOF
	case writing:
		p.failed(h, broken.Err, true)
		return now, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return now, nil // the wait behind it tells a silent sender from a slow reader
	}
	return now, err
}

// park lets the direction rest until there is something to read, or the pipe
// calls. The caller has to leave everything of it alone then.
func (h *half) park(now time.Time) bool {
	p := h.pipe
	if p.cfg.Lot == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.ending.Load() != nil {
		return false
	}
	h.from.rest()
	spot, err := p.cfg.Lot.Park(h.from.socket, p.deadline(), h.woken)
	if err != nil {
		return false
	}
	h.spot = spot
	return true
}

// woken goes on with the direction, on a goroutine of its own.
func (h *half) woken(parking.Reason) {
	h.mu.Lock() // until park is through
	h.spot = nil
	h.mu.Unlock()
	h.start()
}

// call wakes the direction if it is parked.
func (h *half) call() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.spot != nil {
		h.pipe.cfg.Lot.Call(h.spot)
	}
}
