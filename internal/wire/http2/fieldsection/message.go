package fieldsection

import (
	"net/http"

	"countersign.dev/internal/wire/http1"
)

// A Verdict says what is wrong with a message, or nothing.
type Verdict struct {
	Fault     *http1.Error // nil: nothing
	Malformed bool         // it breaks the rules of HTTP/2 (RFC 9113 section 8.1.1)
}

// Malformed is the verdict for a reason in words.
func Malformed(reason string) Verdict {
	return Verdict{&http1.Error{Status: http.StatusBadRequest, Kind: http1.BadHeader, Reason: reason}, true}
}

// Request composes a request of a section that is complete. ended says that no
// content follows. Method, Target and Fields of q are set as far as they are
// there, even if something is wrong; q lies in the section's memory.
func (s *Section) Request(q *http1.Request, ended bool) Verdict {
	s.rejoinCookies()
	if s.malformed == "" && s.over == nil {
		s.checkRequest()
	}
	e := q.Compose(s.method, s.scheme, s.authority, s.path, s.fields, ended)
	switch {
	case s.malformed != "":
		return Malformed(s.malformed)
	case s.over != nil:
		return Verdict{Fault: s.over}
	case e != nil && (e.Kind == http1.BadContentLength || e.Kind == http1.MultipleContentLength):
		return Verdict{e, true} // Section 8.1.1 names it.
	}
	return Verdict{Fault: e}
}

// checkRequest looks whether exactly those pseudo-fields are there that are due.
func (s *Section) checkRequest() {
	// RFC 9113 section 8.5: only a CONNECT without :protocol has no path.
	tunnel := string(s.method) == http.MethodConnect && s.protocol == nil
	switch {
	case s.method == nil:
		s.bad("there is no :method (RFC 9113 section 8.3.1)")
	case tunnel && (s.scheme != nil || s.path != nil):
		s.bad("CONNECT with a :scheme or a :path (RFC 9113 section 8.5)")
	case tunnel && s.authority == nil:
		s.bad("CONNECT without an :authority (RFC 9113 section 8.5)")
	case !tunnel && s.scheme == nil:
		s.bad("there is no :scheme (RFC 9113 section 8.3.1)")
	case !tunnel && len(s.path) == 0:
		s.bad("there is no :path, or an empty one (RFC 9113 section 8.3.1)")
	case s.protocol != nil && string(s.method) != http.MethodConnect:
		s.bad("a :protocol without CONNECT (RFC 8441 section 4)")
	case s.protocol != nil && s.authority == nil:
		s.bad("a :protocol without an :authority (RFC 8441 section 4)")
	}
}

// Protocol returns the ":protocol" of an extended CONNECT, else nil.
func (s *Section) Protocol() []byte { return s.protocol }

// Respond composes s.Response, the answer to a request with that method, of a
// section that is complete.
func (s *Section) Respond(method []byte, ended bool) Verdict {
	status := 0
	for _, d := range s.status {
		if d -= '0'; d > 9 || len(s.status) != 3 { // RFC 9110 section 15
			status = 0
			break
		}
		status = status*10 + int(d)
	}
	e := s.Response.Compose(status, s.fields, ended, method)
	switch {
	case s.malformed != "":
		return Malformed(s.malformed)
	case s.over != nil:
		return Verdict{Fault: s.over}
	case s.status == nil:
		return Malformed("there is no :status (RFC 9113 section 8.3.2)")
	case e != nil:
		return Verdict{e, true}
	case status < 200 && ended:
		return Malformed("an interim response ends the stream (RFC 9113 section 8.1)")
	case status == http.StatusSwitchingProtocols:
		return Malformed("status 101, which HTTP/2 has not (RFC 9113 section 8.6)")
	}
	return Verdict{}
}

// Trailers returns the fields of a trailer section that is complete, without
// those that decide something (http1.Trailers).
func (s *Section) Trailers() ([]http1.Field, Verdict) {
	switch {
	case s.malformed != "":
		return nil, Malformed(s.malformed)
	case s.over != nil:
		return nil, Verdict{Fault: s.over}
	}
	s.fields = http1.Trailers(s.fields)
	return s.fields, Verdict{}
}
