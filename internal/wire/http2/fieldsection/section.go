package fieldsection

import (
	"fmt"
	"net/http"
	"sync"

	"countersign.dev/internal/wire/http1"
)

// A Kind says what a section is for, which decides about its pseudo-fields.
type Kind uint8

const (
	Request  Kind = iota // the head of a request
	Extended             // the same, with :protocol allowed (RFC 8441)
	Response             // the head of a response
	Trailers
)

// A Section is a field section as it is decoded. Its memory is used again.
type Section struct {
	Response http1.Response // filled by Respond

	kind   Kind
	lim    *http1.Limits
	buf    []byte // names and values
	fields []http1.Field
	size   int // as RFC 9113 section 6.5.2 counts

	method, scheme, authority, path, protocol, status []byte

	malformed string       // why, "" for well-formed
	over      *http1.Error // a limit that it exceeds
}

var sections sync.Pool

// Take returns an empty section, to be given back by Give. lim has no zero
// values: Line bounds the path, Field one field and Head all of them in the sizes
// of RFC 9113 section 6.5.2, Count their number.
func Take(kind Kind, lim *http1.Limits) *Section {
	s, ok := sections.Get().(*Section)
	if !ok {
		s = new(Section)
	}
	if s.buf == nil {
		s.buf, s.fields = make([]byte, 0, 1<<10), make([]http1.Field, 0, 16)
	}
	s.kind, s.lim = kind, lim
	return s
}

// mostKept bounds what is kept of a section for the next one.
const mostKept = 16 << 10

// Give gives up the section and all that lies in it. A nil one is none.
func (s *Section) Give() {
	if s == nil {
		return
	}
	kept := Section{buf: s.buf[:0], fields: s.fields[:0], Response: s.Response}
	if cap(kept.buf) > mostKept {
		kept.buf, kept.fields = nil, nil
	}
	kept.Response.Reset()
	kept.Response.Fields = nil
	*s = kept
	sections.Put(s)
}

// lowerToken holds the octets of a field name in HTTP/2: those of a token, no
// capitals (RFC 9113 section 8.2.1).
var lowerToken = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz" {
		t[c] = true
	}
	return t
}()

// Add takes one field. It returns false once the section is too large to be of
// any use; what follows need not be added.
func (s *Section) Add(name, value string) bool {
	lim := s.lim
	size := len(name) + len(value) + 32
	s.size += size
	switch {
	case s.size > lim.Head:
		s.exceeds(http.StatusRequestHeaderFieldsTooLarge, "the fields are longer than %d bytes together", lim.Head)
		return false
	case len(name) > 0 && name[0] == ':':
		if name == ":path" && len(value) > lim.Line {
			s.exceeds(http.StatusRequestURITooLong, "the path is longer than %d bytes", lim.Line)
		}
		s.addPseudo(name, s.copy(value))
		return true
	case size > lim.Field:
		s.exceeds(http.StatusRequestHeaderFieldsTooLarge, "a field is longer than %d bytes", lim.Field)
		return true
	case len(s.fields) == lim.Count:
		s.exceeds(http.StatusRequestHeaderFieldsTooLarge, "more than %d fields", lim.Count)
		return false
	}
	f := http1.Field{Name: s.copy(name), Value: s.copy(value)}
	f.Kind = http1.KindOf(f.Name)
	s.check(&f)
	s.fields = append(s.fields, f)
	return true
}

// copy puts v behind what is in buf already. A field that was copied before buf
// had to grow stays where it was.
func (s *Section) copy(v string) []byte {
	n := len(s.buf)
	s.buf = append(s.buf, v...)
	return s.buf[n:len(s.buf):len(s.buf)]
}

// bad notes the first thing that makes the message malformed.
func (s *Section) bad(format string, args ...any) {
	if s.malformed == "" {
		s.malformed = fmt.Sprintf(format, args...)
	}
}

// exceeds notes the first limit that was exceeded.
func (s *Section) exceeds(status int, format string, args ...any) {
	if s.over == nil {
		s.over = &http1.Error{Status: status, Kind: http1.TooLarge, Reason: fmt.Sprintf(format, args...)}
	}
}

// check holds a field against what HTTP/2 demands of each (RFC 9113 section 8.2).
func (s *Section) check(f *http1.Field) {
	if len(f.Name) == 0 {
		s.bad("a field has no name (RFC 9113 section 8.2.1)")
	}
	for _, c := range f.Name {
		if !lowerToken[c] {
			s.bad("the octet 0x%02x in a field name (RFC 9113 section 8.2.1)", c)
			return
		}
	}
	if i := http1.ValueEnd(f.Value); i < len(f.Value) {
		s.bad("the octet 0x%02x in the value of the field %s (RFC 9113 section 8.2.1)", f.Value[i], f.Name)
		return
	}
	if n := len(f.Value); n > 0 && (space(f.Value[0]) || space(f.Value[n-1])) {
		s.bad("white space around the value of the field %s (RFC 9113 section 8.2.1)", f.Name)
	}
	switch f.Kind {
	case http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.TransferEncoding, http1.Upgrade:
		s.bad("the field %s, which concerns a connection of HTTP/1.1 (RFC 9113 section 8.2.2)", f.Name)
	case http1.TE:
		if !http1.FoldEqual(f.Value, "trailers") {
			s.bad("a field TE that is not trailers (RFC 9113 section 8.2.2)")
		}
	}
}

func space(c byte) bool { return c == ' ' || c == '\t' }

// addPseudo takes a pseudo-field (RFC 9113 section 8.3).
func (s *Section) addPseudo(name string, value []byte) {
	if s.kind == Trailers {
		s.bad("the pseudo-field %q in trailers (RFC 9113 section 8.1)", name)
		return
	}
	if len(s.fields) > 0 {
		s.bad("the pseudo-field %q behind other fields (RFC 9113 section 8.3)", name)
	}
	if i := http1.ValueEnd(value); i < len(value) {
		s.bad("the octet 0x%02x in %q (RFC 9113 section 8.2.1)", value[i], name)
	}
	var at *[]byte
	switch {
	case s.kind == Response && name == ":status":
		at = &s.status
	case s.kind == Response:
	case name == ":method":
		at = &s.method
	case name == ":scheme":
		at = &s.scheme
	case name == ":authority":
		at = &s.authority
	case name == ":path":
		at = &s.path
	case name == ":protocol" && s.kind == Extended:
		at = &s.protocol
	}
	switch {
	case at == nil:
		s.bad("the pseudo-field %q, which is not defined here (RFC 9113 section 8.3)", name)
	case *at != nil:
		s.bad("the pseudo-field %q twice (RFC 9113 section 8.3)", name)
	default:
		*at = value
	}
}

// rejoinCookies makes one field of Cookie fields that were split for the sake of
// compression (RFC 9113 section 8.2.3).
func (s *Section) rejoinCookies() {
	crumbs := 0
	for i := range s.fields {
		if s.fields[i].Kind == http1.Cookie {
			crumbs++
		}
	}
	if crumbs < 2 {
		return
	}
	start, first := len(s.buf), -1
	kept := s.fields[:0]
	for _, f := range s.fields {
		switch {
		case f.Kind != http1.Cookie:
			kept = append(kept, f)
			continue
		case first < 0:
			first = len(kept)
			kept = append(kept, f)
		default:
			s.buf = append(s.buf, "; "...)
		}
		s.buf = append(s.buf, f.Value...)
	}
	s.fields = kept
	s.fields[first].Value = s.buf[start:len(s.buf):len(s.buf)]
}
