//go:build !linux

package testport

import "net"

// Keep returns an address of 127.0.0.1 at which nobody listens. Here, somebody else
// may be given it before it is used.
func Keep() (address string, release func(), err error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	return l.Addr().String(), func() {}, l.Close()
}
