package http2

import (
	"net/http"

	"golang.org/x/net/http2"

	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2/fieldsection"
)

// takeRequest opens a stream for a request.
func (c *Conn) takeRequest(sec *fieldsection.Section) *ConnError {
	c.mu.Lock()
	s := takeStream(c)
	c.mu.Unlock()
	s.id, s.head, s.remoteEnded = c.block.id, sec, c.block.ended
	s.received = int64(c.block.wire)
	v := sec.Request(&s.Request, c.block.ended)
	if c.block.itself && !v.Malformed {
		v = fieldsection.Malformed("the stream depends on itself (RFC 7540 section 5.3.1)")
	}
	s.Protocol, s.Fault, s.Malformed = sec.Protocol(), v.Fault, v.Malformed
	if s.Fault == nil && s.Request.Body != http1.Chunked {
		s.length = s.Request.ContentLength
	}
	c.mu.Lock()
	c.streams = append(c.streams, s)
	c.mu.Unlock()
	c.open(s)
	return nil
}

// mostInterim bounds the interim responses that wait for ReadHead.
const mostInterim = 16

// takeResponse takes the head of a response, an interim one perhaps.
func (c *Conn) takeResponse(id uint32, sec *fieldsection.Section) *ConnError {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(id)
	if s == nil || s.localReset {
		sec.Give() // Its owner has closed it meanwhile.
		return nil
	}
	s.received += int64(c.block.wire)
	code, reason := judged(sec.Respond(s.method, c.block.ended))
	interim := sec.Response.Status < 200
	if reason == "" && interim && len(s.heads) == mostInterim {
		code, reason = http2.ErrCodeEnhanceYourCalm, "too many interim responses"
	}
	if reason != "" {
		sec.Give()
		return c.fail(s, code, reason)
	}
	s.heads = append(s.heads, sec)
	s.readable.ring()
	if interim {
		return c.charge(&c.idle, 1)
	}
	s.answered = true
	s.remoteEnded = c.block.ended
	if r := &sec.Response; r.Body == http1.Length {
		s.length = r.ContentLength
	} else if r.Body == http1.NoBody && string(s.method) != http.MethodConnect {
		s.length = 0
	}
	return nil
}

// judged is what to reset a stream with after a verdict; reason is "" for a good
// one.
func judged(v fieldsection.Verdict) (code http2.ErrCode, reason string) {
	switch {
	case v.Fault == nil:
		return 0, ""
	case v.Malformed:
		return http2.ErrCodeProtocol, v.Fault.Reason
	}
	return http2.ErrCodeCancel, v.Fault.Error()
}

// takeTrailers takes the field section behind the content.
func (c *Conn) takeTrailers(id uint32, sec *fieldsection.Section) *ConnError {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(id)
	if s == nil || s.localReset {
		sec.Give() // Its owner has closed it meanwhile.
		return nil
	}
	s.received += int64(c.block.wire)
	fields, v := sec.Trailers()
	code, reason := judged(v)
	switch {
	case reason != "":
	case !c.block.ended:
		code, reason = http2.ErrCodeProtocol, "a second head, or trailers that do not end the stream (RFC 9113 section 8.1)"
	case c.block.itself:
		code, reason = http2.ErrCodeProtocol, "the stream depends on itself (RFC 7540 section 5.3.1)"
	case s.length >= 0 && s.body != s.length:
		code, reason = http2.ErrCodeProtocol, "the content is not as long as Content-Length says (RFC 9113 section 8.1.1)"
	}
	if reason != "" {
		sec.Give()
		return c.fail(s, code, reason)
	}
	s.tail, s.trailers = sec, fields
	s.remoteEnded = true
	s.readable.ring()
	return nil
}
