package http

import (
	"io"
	"net"
	"time"

	"countersign.dev/internal/traffic/forward/upstream"
)

// readFrom reads from a target, which may be silent for wait.
func readFrom(c *upstream.Conn, p []byte, wait time.Duration) (int, error) {
	if err := c.ArmRead(time.Now(), wait); err != nil {
		return 0, err
	}
	return c.Read(p)
}

// writeTo writes to a target, which has wait to take all of p.
func writeTo(c *upstream.Conn, p []byte, wait time.Duration) (int, error) {
	if err := c.ArmWrite(time.Now(), wait); err != nil {
		return 0, err
	}
	return c.Write(p)
}

// abort makes whoever reads from or writes to c stop. It may be called from any
// goroutine; the one that holds c still releases it.
func abort(c *upstream.Conn) { c.Net().Close() }

// closeWrite tells the target that nothing more will come.
func closeWrite(c *upstream.Conn) error {
	if tcp, ok := c.Net().(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return c.Net().Close()
}

// isEnd reports whether err is a regular end of a direction.
func isEnd(err error) bool { return err == io.EOF }
