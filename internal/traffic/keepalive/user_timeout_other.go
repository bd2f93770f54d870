//go:build !linux

package keepalive

import (
	"errors"
	"net"
	"time"
)

func setUserTimeout(*net.TCPConn, time.Duration) error {
	return errors.New("a TCP user timeout can be set on Linux alone")
}
