package direct

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// Rest gives up what crypto/tls keeps for reading, 2.25 KiB of the 8 that a silent
// connection would take: the buffer that the client's certificates came in,
// the one that the messages of the handshake were put together in, and what
// remembers a place in the first. Both grow to the largest there ever was and
// stay. It may be called only while nobody reads; the next read makes a buffer
// as large as it needs.
//
// There is no method of crypto/tls for it, so its fields are set from outside.
// Where they are not what they were, by name and type, nothing is done, and a
// test says so.
func (t *TLS) Rest() {
	if reading == nil {
		return
	}
	at := unsafe.Pointer(t.Conn)
	raw, hand := (*bytes.Buffer)(unsafe.Add(at, reading.raw)), (*bytes.Buffer)(unsafe.Add(at, reading.hand))
	input := (*bytes.Reader)(unsafe.Add(at, reading.input))
	if raw.Len() > 0 || hand.Len() > 0 || input.Len() > 0 {
		return // in the middle of a record or message
	}
	*raw, *hand, *input = bytes.Buffer{}, bytes.Buffer{}, bytes.Reader{}
}

// reading is where a tls.Conn has what it reads into; nil: it cannot be told.
var reading = findReading(reflect.TypeFor[tls.Conn]())

type readingFields struct{ raw, hand, input uintptr }

func findReading(conn reflect.Type) *readingFields {
	var at readingFields
	for _, f := range []struct {
		name   string
		is     reflect.Type
		offset *uintptr
	}{
		{"rawInput", reflect.TypeFor[bytes.Buffer](), &at.raw},
		{"hand", reflect.TypeFor[bytes.Buffer](), &at.hand},
		{"input", reflect.TypeFor[bytes.Reader](), &at.input},
	} {
		field, ok := conn.FieldByName(f.name)
		if !ok || field.Type != f.is {
			return nil
		}
		*f.offset = field.Offset
	}
	return &at
}
