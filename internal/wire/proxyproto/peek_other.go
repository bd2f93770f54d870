//go:build !unix

package proxyproto

import (
	"errors"
	"net"
)

// peek needs MSG_PEEK: elsewhere no header is accepted from anybody.
func peek(*net.TCPConn, []byte, int) (int, error) {
	return 0, errors.New("a PROXY header cannot be read on this system: " + errors.ErrUnsupported.Error())
}

func glance(*net.TCPConn, []byte) int { return 0 }
