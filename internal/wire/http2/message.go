package http2

import (
	"net/http"

	"golang.org/x/net/http2"

	"countersign.dev/internal/wire/http1"
)

// takeRequest opens a stream for a request.
func (c *Conn) takeRequest(sec *section) *ConnError {
	c.mu.Lock()
	s := takeStream(c)
	c.mu.Unlock()
	s.id, s.head, s.remoteEnded = c.block.id, sec, c.block.ended
	s.received = int64(c.block.wire)
	s.judge(sec, c.block.ended)
	if c.block.itself && !s.Malformed {
		s.malformed("the stream depends on itself (RFC 7540 section 5.3.1)")
	}
	if s.Fault == nil && s.Request.Body != http1.Chunked {
		s.length = s.Request.ContentLength
	}
	c.mu.Lock()
	c.streams = append(c.streams, s)
	c.mu.Unlock()
	c.open(s)
	return nil
}

// judge composes the request and finds out what is wrong with it.
func (s *Stream) judge(sec *section, ended bool) {
	s.Protocol = sec.protocol
	// RFC 9113 section 8.5: only this one has no path.
	plainConnect := string(sec.method) == http.MethodConnect && sec.protocol == nil
	if sec.malformed == "" && sec.over == nil {
		switch {
		case sec.method == nil:
			sec.bad("there is no :method (RFC 9113 section 8.3.1)")
		case plainConnect && (sec.scheme != nil || sec.path != nil):
			sec.bad("CONNECT with a :scheme or a :path (RFC 9113 section 8.5)")
		case plainConnect && sec.authority == nil:
			sec.bad("CONNECT without an :authority (RFC 9113 section 8.5)")
		case !plainConnect && sec.scheme == nil:
			sec.bad("there is no :scheme (RFC 9113 section 8.3.1)")
		case !plainConnect && len(sec.path) == 0:
			sec.bad("there is no :path, or an empty one (RFC 9113 section 8.3.1)")
		case sec.protocol != nil && string(sec.method) != http.MethodConnect:
			sec.bad("a :protocol without CONNECT (RFC 8441 section 4)")
		case sec.protocol != nil && sec.authority == nil:
			sec.bad("a :protocol without an :authority (RFC 8441 section 4)")
		}
	}
	e := s.Request.Compose(sec.method, sec.scheme, sec.authority, sec.path, sec.fields, ended)
	switch {
	case sec.malformed != "":
		s.malformed(sec.malformed)
	case sec.over != nil:
		s.Fault = sec.over
	case e != nil && (e.Kind == http1.BadContentLength || e.Kind == http1.MultipleContentLength):
		s.Fault, s.Malformed = e, true // RFC 9113 section 8.1.1
	default:
		s.Fault = e
	}
}

// malformed notes that the request breaks the rules of HTTP/2.
func (s *Stream) malformed(reason string) {
	s.Fault = &http1.Error{Status: http.StatusBadRequest, Kind: http1.BadHeader, Reason: reason}
	s.Malformed = true
}

// mostInterim bounds the interim responses that wait for ReadHead.
const mostInterim = 16

// takeResponse takes the head of a response, an interim one perhaps.
func (c *Conn) takeResponse(id uint32, sec *section) *ConnError {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(id)
	if s == nil || s.localReset {
		sec.give() // Its owner has closed it meanwhile.
		return nil
	}
	s.received += int64(c.block.wire)
	code, reason := sec.judgeResponse(s.method, c.block.ended)
	interim := sec.response.Status < 200
	switch {
	case reason != "":
	case interim && len(s.heads) == mostInterim:
		code, reason = http2.ErrCodeEnhanceYourCalm, "too many interim responses"
	}
	if reason != "" {
		sec.give()
		return c.fail(s, code, reason)
	}
	s.heads = append(s.heads, sec)
	s.readable.ring()
	if interim {
		return c.charge(&c.idle, 1)
	}
	s.answered = true
	s.remoteEnded = c.block.ended
	if r := &sec.response; r.Body == http1.Length {
		s.length = r.ContentLength
	} else if r.Body == http1.NoBody && string(s.method) != http.MethodConnect {
		s.length = 0
	}
	return nil
}

// judgeResponse composes the response. reason says what is wrong with it, "" for
// nothing.
func (s *section) judgeResponse(method []byte, ended bool) (code http2.ErrCode, reason string) {
	code = http2.ErrCodeProtocol
	status := 0
	for _, d := range s.status {
		if d -= '0'; d > 9 || status > 99 {
			status = 0
			break
		}
		status = status*10 + int(d)
	}
	e := s.response.Compose(status, s.fields, ended, method)
	switch {
	case s.malformed != "":
		return code, s.malformed
	case s.over != nil:
		return http2.ErrCodeCancel, s.over.Error()
	case s.status == nil:
		return code, "there is no :status (RFC 9113 section 8.3.2)"
	case e != nil:
		return code, e.Error()
	case status < 200 && ended:
		return code, "an interim response ends the stream (RFC 9113 section 8.1)"
	case status == http.StatusSwitchingProtocols:
		return code, "status 101, which HTTP/2 has not (RFC 9113 section 8.6)"
	}
	return code, ""
}

// takeTrailers takes the field section behind the content.
func (c *Conn) takeTrailers(id uint32, sec *section) *ConnError {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.find(id)
	if s == nil || s.localReset {
		sec.give() // Its owner has closed it meanwhile.
		return nil
	}
	s.received += int64(c.block.wire)
	code, reason := http2.ErrCodeProtocol, sec.malformed
	switch {
	case reason != "":
	case !c.block.ended:
		reason = "a second head, or trailers that do not end the stream (RFC 9113 section 8.1)"
	case c.block.itself:
		reason = "the stream depends on itself (RFC 7540 section 5.3.1)"
	case s.length >= 0 && s.body != s.length:
		reason = "the content is not as long as Content-Length says (RFC 9113 section 8.1.1)"
	case sec.over != nil:
		code, reason = http2.ErrCodeEnhanceYourCalm, "trailers: "+sec.over.Reason
	}
	if reason != "" {
		sec.give()
		return c.fail(s, code, reason)
	}
	sec.fields = http1.Trailers(sec.fields)
	s.trailers = sec
	s.remoteEnded = true
	s.readable.ring()
	return nil
}
