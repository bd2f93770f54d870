//go:build !unix

package proxyproto

import "errors"

// peek needs MSG_PEEK: elsewhere no header is accepted from anybody.
func peek(Conn, []byte, int) (int, error) {
	return 0, errors.New("a PROXY header cannot be read on this system: " + errors.ErrUnsupported.Error())
}

func glance(Conn, []byte) int { return 0 }
