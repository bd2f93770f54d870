package stream

import (
	"time"

	"golang.org/x/sys/unix"

	"countersign.dev/internal/traffic/socket"
)

// taken is how many bytes the peer of socket has acknowledged so far, and how long
// ago it was sent some, perhaps again.
func taken(socket socket.Conn) (acked uint64, ago time.Duration) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, 0
	}
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			acked, ago = info.Bytes_acked, time.Duration(info.Last_data_sent)*time.Millisecond
		}
	})
	return acked, ago
}
