package http1

import (
	"bytes"
	"cmp"
	"net/http"
)

// Limits bound a message head. A field that is 0 means its default: there is
// no way to ask for no limit.
type Limits struct {
	Line  int // octets of the request line or status line without its CRLF; 0: 16 KiB
	Field int // octets of one field line without its CRLF; 0: 16 KiB
	Head  int // octets of the whole head, start line and empty line included; 0: 64 KiB
	Count int // fields of one head; 0: 256
}

func (l *Limits) setDefaults() {
	l.Line = cmp.Or(l.Line, 16<<10)
	l.Field = cmp.Or(l.Field, 16<<10)
	l.Head = cmp.Or(l.Head, 64<<10)
	l.Count = cmp.Or(l.Count, 256)
}

// A scanner looks for the end of a head line by line, and remembers how far it
// came: a peer that sends octet by octet has each of them looked at once.
type scanner struct {
	skip  int // where the head starts: 2 behind a CRLF that may be skipped
	first int // where the fields start; 0 until the start line is complete and found good
	line  int // where the line starts that is being looked for
	at    int // octets known not to end that line
}

// next returns the index behind the next complete line of buf, or 0 when buf
// ends before the line does. max is the limit for this line, without its CRLF,
// and over the status for a longer one. Which error is found does not depend on
// how much of the line is in buf.
func (s *scanner) next(buf []byte, max, over int, lim *Limits) (end int, e *Error) {
	lf := bytes.IndexByte(buf[s.at:], '\n')
	length := len(buf) - s.line // of the line, all but its LF
	if lf >= 0 {
		length = s.at + lf - s.line
	}
	room := lim.Head - (s.line - s.skip)
	switch {
	case length > max+1 && max+2 <= room: // with its CR, and reached before the other limit
		return 0, tooLarge(over, "the line that starts with %s is longer than %d bytes", quote(nameOf(buf[s.line:])), max)
	case length >= room:
		return 0, tooLarge(statusFields, "the lines are longer than %d bytes together", lim.Head)
	case lf < 0:
		s.at = len(buf)
		return 0, nil
	}
	end = s.at + lf + 1
	if length == 0 || buf[end-2] != '\r' {
		// RFC 9112 section 2.2 lets a recipient take a bare LF for a line end, and
		// those who do not see another message than those who do (CVE-2025-22871).
		return 0, bad(BadHeader, "the line that starts with %s ends in LF without CR", quote(nameOf(buf[s.line:])))
	}
	s.line, s.at = end, end
	return end, nil
}

// rest returns the index behind the empty line that ends the head, or 0 when
// buf ends before the head does.
func (s *scanner) rest(buf []byte, lim *Limits) (end int, e *Error) {
	for {
		start := s.line
		end, e = s.next(buf, lim.Field, statusFields, lim)
		if end == 0 || end-start == len("\r\n") {
			return end, e
		}
	}
}

const (
	statusLine   = http.StatusRequestURITooLong
	statusFields = http.StatusRequestHeaderFieldsTooLarge
)

// nameOf returns what a line starts with, the method or the name of the field,
// so that an error need not show the rest.
func nameOf(line []byte) []byte {
	for i, c := range line {
		if !tchar[c] {
			return line[:i]
		}
	}
	return line
}

func tooLarge(status int, format string, args ...any) *Error {
	return bad(TooLarge, format, args...).as(status)
}
