package condition

import (
	"bytes"
	"net/netip"

	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/wire/http1"
)

// A Question is everything that conditions may be about.
type Question struct {
	// Request is the head; nil where bytes are forwarded, which have none.
	Request *http1.Request
	// ServerName is the name that the client asked for in its handshake, in lower case;
	// "": none. Where there is a Request, the host is its own.
	ServerName string
	// Source is the client's address.
	Source netip.Addr
	// Client is who asks.
	Client identify.Client
	// Device is what the client's device may have; the zero value: it is none.
	Device devices.Standing
}

// Host is whom the request is for.
func (q *Question) Host() []byte { return HostOf(q.Request.Host) }

// HostOf is an authority without its port, and without the dot of the root.
func HostOf(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && host[len(host)-1] != ']' {
		host = host[:i]
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	return host
}
