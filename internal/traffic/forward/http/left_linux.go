package http

import (
	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/direct"
	"countersign.dev/internal/traffic/socket"
)

// Left is upstream.Peer's. Nothing is read: behind what the client has sent already,
// which may be another request or the end of TLS, its FIN shows too.
func (f *Front) Left() bool {
	tcp := socket.Of(f.conn)
	if tcp == nil {
		return false
	}
	is, err := direct.Poll(tcp, unix.POLLRDHUP)
	return err != nil || is&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
}
