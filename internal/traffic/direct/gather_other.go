//go:build !linux

package direct

import "crypto/tls"

// A TLS is a TLS connection.
type TLS struct{ *tls.Conn }

// Gather returns c: there is nothing of ours beneath it.
func Gather(c *tls.Conn) *TLS { return &TLS{c} }
