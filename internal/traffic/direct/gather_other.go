//go:build !linux || 386 || s390x

package direct

import (
	"crypto/tls"
	"net"

	"countersign.dev/internal/traffic/socket"
)

// A TLS is a TLS connection.
type TLS struct{ *tls.Conn }

// Gather returns c: there is nothing of ours beneath it.
func Gather(c *tls.Conn) *TLS { return &TLS{c} }

// End says that nothing more is written, in TLS and in TCP.
func (t *TLS) End() error {
	err := t.Conn.CloseWrite()
	if tcp := socket.Of(t); tcp != nil {
		tcp.CloseWrite()
	}
	return err
}

// Leave is End, and closes the connection.
func (t *TLS) Leave() error { return t.Conn.Close() }

// Hold does nothing: what is written leaves at once.
func Hold(net.Conn) {}

// Release ends what Hold began.
func Release(net.Conn, bool) error { return nil }
