package http

import (
	"bytes"
	nethttp "net/http"
	"strconv"

	"countersign.dev/internal/wire/http1"
)

// appendRequest appends what a target that speaks HTTP/1.1 gets: the head, the
// client's without what concerns the client's connection alone (RFC 9110 section
// 7.6.1) and without anything that claims an identity, then what is true about
// it, and the content that is at hand.
func (e *Exchange) appendRequest(dst []byte) []byte {
	q := e.Request
	dst = append(dst, q.Method...)
	dst = append(dst, ' ')
	dst = append(dst, q.Path...)
	if q.HasQuery {
		dst = append(dst, '?')
		dst = append(dst, q.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(e.appendHost(dst), '\r', '\n')
	for i := range q.Fields {
		if fl := &q.Fields[i]; e.toTarget(fl) && !(q.HTTP2 && isChallenge(fl)) {
			dst = appendField(dst, fl)
		}
	}
	dst = append(dst, e.terms.Identity...)
	dst = append(dst, e.terms.Statement...)
	dst = e.appendForwarded(dst)
	body, length := e.bodyFraming()
	switch {
	case body == http1.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case length >= 0:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, length, 10)
		dst = append(dst, '\r', '\n')
	}
	if up := e.upgrade(); up != nil {
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, up...)
		dst = append(dst, '\r', '\n')
		if q.HTTP2 {
			e.challenge = newKey()
			dst = append(dst, "Sec-WebSocket-Key: "...)
			dst = append(dst, e.challenge...)
			dst = append(dst, '\r', '\n')
		}
	}
	dst = append(dst, '\r', '\n')
	if body == http1.Chunked {
		return e.appendContent(dst, e.body.atHand, e.body.complete)
	}
	return append(dst, e.body.atHand...)
}

// bodyFraming says how a target that speaks HTTP/1.1 is told where the content
// ends, and its length, -1 for none. Over HTTP/2 a client need not say a length:
// it is known when all has come, and then a server that takes no chunks is content.
func (e *Exchange) bodyFraming() (http1.BodyKind, int64) {
	q := e.Request
	switch {
	case q.HTTP2 && q.Body == http1.Chunked && e.body.complete && len(e.source.trailers(e)) == 0:
		return http1.Length, int64(len(e.body.atHand))
	case q.Body == http1.Chunked:
		return http1.Chunked, -1
	case q.HasContentLength:
		return q.Body, q.ContentLength
	case q.HTTP2 && (string(q.Method) == "POST" || string(q.Method) == "PUT" || string(q.Method) == "PATCH"):
		return http1.NoBody, 0 // RFC 9110 section 8.6: they are expected to have content
	}
	return q.Body, -1
}

// appendContent appends content as chunks, and with done the end of it:
// extensions, odd spellings and trailer fields that claim an identity or framing
// do not pass.
func (e *Exchange) appendContent(dst, p []byte, done bool) []byte {
	if len(p) > 0 {
		dst = appendChunk(dst, p)
	}
	if !done {
		return dst
	}
	dst = append(dst, http1.LastSize...)
	fields := e.source.trailers(e)
	for i := range fields {
		if fl := &fields[i]; e.trailsToTarget(fl) {
			dst = appendField(dst, fl)
		}
	}
	return append(dst, '\r', '\n')
}

func (e *Exchange) trailsToTarget(fl *http1.Field) bool {
	return !e.Request.Hop(fl) && !e.set.Identity.Strips(fl.Name) && !e.terms.Grant.Withholds(fl)
}

func appendChunk(dst, data []byte) []byte {
	dst = http1.AppendChunkHeader(dst, len(data))
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}

// appendHost appends whom the request is for. HTTP/1.0 need not say; the address
// it came to is what it meant.
func (e *Exchange) appendHost(dst []byte) []byte {
	if e.Request.Host != nil {
		return append(dst, e.Request.Host...)
	}
	return append(dst, e.client.conn.LocalAddr().String()...)
}

// toTarget reports whether a field of the request passes as it is.
func (e *Exchange) toTarget(fl *http1.Field) bool {
	switch fl.Kind {
	case http1.Host, http1.ContentLength, http1.TransferEncoding:
		return false
	case http1.Expect:
		if !e.Request.ExpectContinue {
			return false
		}
	case http1.XForwardedFor, http1.XForwardedProto, http1.XForwardedPort:
		if e.set.Forwarded != ForwardedPreserve {
			return false
		}
	default:
		if e.set.Identity.Strips(fl.Name) || e.terms.Grant.Withholds(fl) {
			return false
		}
	}
	return !e.Request.Hop(fl)
}

// appendForwarded appends, where it is so set, X-Forwarded-For with the client's
// address at its end, X-Forwarded-Proto and X-Forwarded-Port.
func (e *Exchange) appendForwarded(dst []byte) []byte {
	if e.set.Forwarded != ForwardedAppend {
		return dst
	}
	dst = append(dst, "X-Forwarded-For: "...)
	for i := range e.Request.Fields {
		if fl := &e.Request.Fields[i]; fl.Kind == http1.XForwardedFor && len(fl.Value) > 0 {
			dst = append(dst, fl.Value...)
			dst = append(dst, ',', ' ')
		}
	}
	dst = e.client.address.Addr().AppendTo(dst)
	dst = append(dst, "\r\nX-Forwarded-Proto: http"...)
	if e.client.tls {
		dst = append(dst, 's')
	}
	dst = append(dst, "\r\nX-Forwarded-Port: "...)
	dst = strconv.AppendUint(dst, uint64(e.terms.Port), 10)
	return append(dst, '\r', '\n')
}

// upgrade returns the protocol the client asks to switch to when the request
// may carry that wish on. A request with a body may not: where its bytes end
// would be for two parties to agree on. HTTP and TLS itself may not either:
// the target would speak them unverified (h2c smuggling).
func (e *Exchange) upgrade() []byte {
	q := e.Request
	if q.Body != http1.NoBody || len(q.UpgradeTo) == 0 || q.Minor == 0 {
		return nil
	}
	for protocol := range bytes.SplitSeq(q.UpgradeTo, []byte{','}) {
		protocol = bytes.TrimSpace(protocol)
		for _, hidden := range [...]string{"h2", "http", "tls"} {
			if len(protocol) >= len(hidden) && http1.FoldEqual(protocol[:len(hidden)], hidden) {
				return nil
			}
		}
	}
	return q.UpgradeTo
}

func appendField(dst []byte, fl *http1.Field) []byte {
	dst = append(dst, fl.Name...)
	dst = append(dst, ':', ' ')
	dst = append(dst, fl.Value...)
	return append(dst, '\r', '\n')
}

// appendResponse appends the head that the client gets.
func (e *Exchange) appendResponse(dst []byte, frame framing, closing bool) []byte {
	p := e.response
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(p.Status), 10)
	dst = append(dst, ' ')
	if e.lines.stream.stream != nil { // HTTP/2 has no reason phrases
		dst = append(dst, nethttp.StatusText(p.Status)...)
	} else {
		dst = append(dst, p.Reason...)
	}
	dst = append(dst, '\r', '\n')
	dated := false
	for i := range p.Fields {
		switch fl := &p.Fields[i]; {
		case !e.toClient(fl, frame), frame == switching && e.switching && isChallenge(fl):
		case fl.Kind == http1.Vary && e.set.Identity.VaryNeedsStar(fl.Value):
			dst = append(dst, "Vary: *\r\n"...)
		default:
			dated = dated || fl.Kind == http1.Date
			dst = appendField(dst, fl)
		}
	}
	if len(e.cookie) > 0 && (p.Status >= 200 || frame == switching) {
		dst = append(dst, "Set-Cookie: "...)
		dst = append(dst, e.cookie...)
		dst = append(dst, '\r', '\n')
	}
	if len(e.settled) > 0 && (p.Status >= 200 || frame == switching) {
		dst = append(dst, "Set-Cookie: "...)
		dst = append(dst, e.settled...)
		dst = append(dst, '\r', '\n')
	}
	if !dated && p.Status >= 200 {
		dst = append(dst, "Date: "...)
		dst = append(dst, e.date()...)
		dst = append(dst, '\r', '\n')
	}
	switch frame {
	case byLength:
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, p.ContentLength, 10)
		dst = append(dst, '\r', '\n')
	case byChunks:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case switching:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: "...)
		dst = append(dst, p.UpgradeTo...)
		dst = append(dst, '\r', '\n')
		if key := named(e.Request.Fields, "sec-websocket-key"); e.switching && key != nil {
			dst = append(dst, "Sec-WebSocket-Accept: "...)
			dst = append(dst, acceptKey(key.Value)...)
			dst = append(dst, '\r', '\n')
		}
	}
	return append(appendConnection(dst, e.Request.Minor, frame, closing, p.Status), '\r', '\n')
}

// toClient reports whether a field of the answer passes.
func (e *Exchange) toClient(fl *http1.Field, frame framing) bool {
	switch fl.Kind {
	case http1.TransferEncoding:
		return false
	case http1.ContentLength:
		// HEAD and 304 describe what a GET would return; 1xx and 204 may not have
		// the field at all (RFC 9110 section 8.6).
		if frame != asIs || e.response.Status < 200 || e.response.Status == 204 {
			return false
		}
	}
	return !e.response.Hop(fl)
}

// appendConnection says whether the connection goes on, where the version's
// default says otherwise (RFC 9112 section 9.3).
func appendConnection(dst []byte, minor int, frame framing, closing bool, status int) []byte {
	switch {
	case frame == switching, status < 200:
	case closing:
		dst = append(dst, "Connection: close\r\n"...)
	case minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

// date returns the current time as RFC 9110 section 5.6.7 writes it.
func (e *Exchange) date() []byte {
	if now := e.clock; now.Unix() != e.dateSecond {
		e.dateSecond = now.Unix()
		e.dateText = now.UTC().AppendFormat(e.dateText[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
	return e.dateText
}
