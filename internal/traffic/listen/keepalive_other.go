//go:build !linux

package listen

import (
	"net"
	"time"
)

// keepAlive has connections probed, after 30 seconds of silence: the net package
// sets it for each.
func keepAlive(lc *net.ListenConfig) { lc.KeepAlive = 30 * time.Second }
