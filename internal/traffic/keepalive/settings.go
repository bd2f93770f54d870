package keepalive

import (
	"net"
	"time"

	"countersign.dev/internal/traffic/socket"
)

// probes is how many are left without an answer before a peer is gone.
const probes = 9

// Settings say when a connection is given up. They are set on each connection: what
// is usual is left to the sockets that they come from.
type Settings struct {
	// After so long without a byte the peer is probed, then after half of that again
	// and again; 0: never.
	After time.Duration
	// Unacknowledged is how long the peer's kernel may leave bytes unacknowledged
	// (RFC 5482, Linux's TCP_USER_TIMEOUT); 0: as long as the system has it.
	Unacknowledged time.Duration
}

// Apply sets them on c. Nil settings leave it as it is.
func (s *Settings) Apply(c socket.Conn) error {
	if s == nil {
		return nil
	}
	err := c.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: s.After > 0, Idle: s.After, Interval: max(s.After/2, time.Second), Count: probes,
	})
	if err == nil && s.Unacknowledged > 0 {
		err = setUserTimeout(c, s.Unacknowledged)
	}
	return err
}
