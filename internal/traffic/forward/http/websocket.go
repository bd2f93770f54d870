package http

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"

	"countersign.dev"
	"countersign.dev/internal/wire/http1"
)

// A WebSocket begins with GET and 101 over HTTP/1.1 (RFC 6455), and with an
// extended CONNECT and 200 over HTTP/2 (RFC 8441). Between the two only the
// challenge differs, which HTTP/2 has not: here it is made and checked.

const websocket = "websocket"

// newKey returns a Sec-WebSocket-Key (RFC 6455 section 4.1).
func newKey() []byte {
	var nonce [16]byte
	rand.Read(nonce[:])
	return base64.StdEncoding.AppendEncode(nil, nonce[:])
}

// acceptKey returns what answers a Sec-WebSocket-Key (RFC 6455 section 4.2.2).
func acceptKey(key []byte) []byte {
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	return base64.StdEncoding.AppendEncode(nil, sum[:])
}

// isChallenge reports whether the field belongs to HTTP/1.1's handshake alone.
func isChallenge(fl *http1.Field) bool {
	return fl.Kind == http1.Other && (http1.FoldEqual(fl.Name, "sec-websocket-key") || http1.FoldEqual(fl.Name, "sec-websocket-accept"))
}

// named returns the first field of that name, in lower case, nil if there is none.
func named(fields []http1.Field, name string) *http1.Field {
	for i := range fields {
		if http1.FoldEqual(fields[i].Name, name) {
			return &fields[i]
		}
	}
	return nil
}

// wantsWebSocket reports whether the request asks for one and nothing else. Over
// HTTP/1.1 the key belongs to the wish (RFC 6455 section 4.2.1): a browser has
// no other request that carries one, and over HTTP/2 the target could not look.
func (e *Exchange) wantsWebSocket() bool {
	return http1.FoldEqual(e.upgrade(), websocket) && (e.Request.HTTP2 || hasKey(e.Request.Fields))
}

// hasKey reports whether there is one Sec-WebSocket-Key, and a good one.
func hasKey(fields []http1.Field) bool {
	keys, good := 0, false
	for i := range fields {
		if fl := &fields[i]; fl.Kind == http1.Other && http1.FoldEqual(fl.Name, "sec-websocket-key") {
			var nonce [18]byte // of 24 characters
			n, err := 0, error(nil)
			if len(fl.Value) == base64.StdEncoding.EncodedLen(16) {
				n, err = base64.StdEncoding.Decode(nonce[:], fl.Value)
			}
			keys, good = keys+1, n == 16 && err == nil
		}
	}
	return keys == 1 && good
}

// checkAccept holds the target's answer against the key that was sent for a
// client that knows of none.
func (e *Exchange) checkAccept(l line) *countersign.Denial {
	if e.challenge == nil {
		return nil
	}
	want, got := acceptKey(e.challenge), named(e.response.Fields, "sec-websocket-accept")
	if got == nil || !bytes.Equal(got.Value, want) {
		return countersign.Deny(countersign.StageForward, countersign.TargetBadResponse,
			"target %s switched to websocket without the Sec-WebSocket-Accept that belongs to the key (RFC 6455 section 4.1)",
			l.target().Address())
	}
	return nil
}
