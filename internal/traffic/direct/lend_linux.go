//go:build linux && !386 && !s390x

package direct

import (
	"errors"
	"io"
	"net"
	"os"
)

// ReadLent is c.Read into a buffer that l lends once there is something to read.
// The buffer is the caller's to return if n is more than 0, and not borrowed else.
func ReadLent(c net.Conn, l Lender) (n int, err error) {
	own, ok := c.(*conn)
	if !ok {
		return readLent(c, l)
	}
	if err := own.beforeRead(); err != nil {
		return 0, err
	}
	own.in.lend = l
	n, err = own.in.run(own.raw.Read, nil)
	own.in.lend = nil
	if n == 0 && err == nil {
		l.Return()
		return 0, io.EOF
	}
	if own.in.err != nil { // of the read itself, not of the wait for it
		l.Return()
	}
	return n, own.named("read", err)
}

// ReadNow reads what has come, and waits for nothing: 0 without an error is
// nothing yet.
func (t *TLS) ReadNow(p []byte) (int, error) {
	if t.under == nil {
		return 0, nil
	}
	t.under.in.now = true
	n, err := t.Conn.Read(p)
	t.under.in.now = false
	if err == errNotYet || errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}
