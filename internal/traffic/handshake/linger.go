package handshake

import (
	"io"
	"net"
	"time"
)

const (
	lingerTime  = time.Second
	lingerBytes = 256 << 10
)

// Linger closes raw so that the peer can still read what was written to it
// last: it ends the outgoing half, then reads what the peer had under way, for
// a second or 256 KiB at most. Closed with unread bytes, the kernel would send
// a reset, which makes the peer drop the alert, or the page, unread (RFC 1122
// section 4.2.2.13).
func Linger(raw net.Conn) {
	defer raw.Close()
	half, ok := raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || raw.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	io.CopyN(io.Discard, raw, lingerBytes)
}
