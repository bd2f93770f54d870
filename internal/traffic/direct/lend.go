package direct

import (
	"bytes"
	"net"
	"unsafe"
)

// A Lender lends a buffer to a read while that has something to put into it, so
// that whoever waits holds none.
type Lender interface {
	Borrow() []byte
	Return()
}

// notYet is what crypto/tls takes for a passing fault: what it has of a record
// stays, and the next read goes on.
type notYet struct{}

func (notYet) Error() string   { return "there is nothing to read yet" }
func (notYet) Timeout() bool   { return true }
func (notYet) Temporary() bool { return true }

var errNotYet error = notYet{}

// readLent is ReadLent for a connection that is not one of ours.
func readLent(c net.Conn, l Lender) (int, error) {
	n, err := c.Read(l.Borrow())
	if n == 0 {
		l.Return()
	}
	return n, err
}

// Buffered reports whether something was received that was not read yet: the
// beginning of a record at least.
func (t *TLS) Buffered() bool {
	if reading == nil {
		return false
	}
	at := unsafe.Pointer(t.Conn)
	return (*bytes.Buffer)(unsafe.Add(at, reading.raw)).Len() > 0 || (*bytes.Reader)(unsafe.Add(at, reading.input)).Len() > 0
}
