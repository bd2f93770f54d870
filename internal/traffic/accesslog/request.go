package accesslog

import (
	"bytes"
	"strconv"
)

// appendRequest appends the request as AWS writes it, an absolute URL between
// method and version: GET https://host:443/path HTTP/1.1. What is unknown of a
// malformed request is "-", as in "- http://host:80- -".
func appendRequest(dst []byte, a *Access) []byte {
	dst = appendOrDash(dst, a.text(a.method))
	dst = append(dst, ' ')
	target := a.text(a.target)
	if !isAbsolute(target) {
		dst = appendOrigin(dst, a)
	}
	dst = appendOrDash(dst, target)
	return appendProtocol(append(dst, ' '), a)
}

func appendProtocol(dst []byte, a *Access) []byte {
	if p := a.protocol; p != "" {
		return append(dst, p...)
	}
	return append(dst, '-')
}

// appendOrigin appends scheme, host and port. Without a Host field the local
// address stands for the host, without a port in it the listener's follows.
func appendOrigin(dst []byte, a *Access) []byte {
	c := a.Connection
	if c.TLSVersion != 0 {
		dst = append(dst, "https://"...)
	} else {
		dst = append(dst, "http://"...)
	}
	host := a.text(a.host)
	switch ip := c.LocalIP.Unmap().WithZone(""); {
	case len(host) > 0:
		// The space too: the request has exactly three words.
		dst = appendEscaped(dst, host, false)
	case ip.Is6():
		dst = append(ip.AppendTo(append(dst, '[')), ']')
	case ip.Is4():
		dst = ip.AppendTo(dst)
	default:
		dst = append(dst, '-')
	}
	if c.ListenerPort != 0 && !hasPort(host) {
		dst = strconv.AppendUint(append(dst, ':'), uint64(c.ListenerPort), 10)
	}
	return dst
}

// hasPort reports whether a Host field ends in a port (RFC 9110 section 7.2).
func hasPort(host []byte) bool {
	colon := bytes.LastIndexByte(host, ':')
	return colon >= 0 && colon > bytes.LastIndexByte(host, ']')
}

// isAbsolute reports whether a request target is in absolute form (RFC 9112
// section 3.2.2).
func isAbsolute(target []byte) bool {
	return hasPrefixFold(target, "http://") || hasPrefixFold(target, "https://")
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && bytes.EqualFold(b[:len(prefix)], []byte(prefix))
}

func appendOrDash(dst, s []byte) []byte {
	if len(s) == 0 {
		return append(dst, '-')
	}
	return appendEscaped(dst, s, false)
}
