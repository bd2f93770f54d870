//go:build !linux

package stream

import (
	"net"
	"time"
)

// taken is not known here: who reads slowly has to take a whole buffer in time.
func taken(*net.TCPConn) (acked uint64, ago time.Duration) { return 0, 0 }
