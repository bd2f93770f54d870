//go:build !linux

package keepalive

import (
	"errors"
	"time"

	"countersign.dev/internal/traffic/socket"
)

func setUserTimeout(socket.Conn, time.Duration) error {
	return errors.New("a TCP user timeout can be set on Linux alone")
}
