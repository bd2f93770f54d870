package clienthello

import (
	"errors"
	"fmt"
)

// MaxSize bounds what Parse looks at, in bytes: a ClientHello as large as crypto/tls
// takes, with the heads of its records.
const MaxSize = 64<<10 + 16<<10

// ErrNotTLS says that the bytes are no beginning of a TLS connection.
var ErrNotTLS = errors.New("not a TLS handshake")

// An IncompleteError says that more has to come.
type IncompleteError struct {
	// Need is how many bytes there must be, from the first, before it makes sense to
	// look again.
	Need int
}

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("a ClientHello that goes on behind byte %d", e.Need-1)
}

// A MalformedError says what is wrong with something that begins like TLS.
type MalformedError struct{ What string }

func (e *MalformedError) Error() string { return "a malformed ClientHello: " + e.What }

// A Hello is what a ClientHello says.
type Hello struct {
	// ServerName is the name asked for, as it was written; "": none.
	ServerName string
}

// The numbers of RFC 8446 sections 4, 4.2 and 5.1.
const (
	recordHandshake = 22
	recordHead      = 5
	recordMost      = 16 << 10
	messageHead     = 4
	typeClientHello = 1
	helloMost       = 64 << 10
	extensionName   = 0
	nameTypeHost    = 0
	randomSize      = 32
	sessionIDMost   = 32
	nameMost        = 255
	oldestMajor     = 3
)

// Parse reads the ClientHello at the beginning of b, over however many records it
// is spread. It looks at nothing behind it. The error is ErrNotTLS, an
// *IncompleteError or a *MalformedError.
func Parse(b []byte) (Hello, error) {
	message, err := assemble(b)
	if err != nil {
		return Hello{}, err
	}
	h, err := parse(message)
	if err != nil {
		return Hello{}, err
	}
	return h, nil
}

// assemble returns the body of the first handshake message.
func assemble(b []byte) ([]byte, error) {
	var message []byte // all fragments so far
	for at := 0; ; {
		head := b[at:]
		if len(head) > 0 && head[0] != recordHandshake || len(head) > 1 && head[1] != oldestMajor {
			if at == 0 {
				return nil, ErrNotTLS
			}
			return nil, malformed("a record of another kind within it (type %d)", head[0])
		}
		if len(head) < recordHead {
			return nil, incomplete(at + recordHead)
		}
		size := int(head[3])<<8 | int(head[4])
		if size == 0 || size > recordMost { // RFC 8446 section 5.1
			if at == 0 {
				return nil, ErrNotTLS
			}
			return nil, malformed("a record of %d bytes", size)
		}
		if len(head) > recordHead && at == 0 && head[recordHead] != typeClientHello {
			return nil, ErrNotTLS
		}
		if len(head) < recordHead+size {
			return nil, incomplete(at + recordHead + size)
		}
		fragment := head[recordHead : recordHead+size]
		if message == nil {
			message = fragment[:len(fragment):len(fragment)] // where it is, if it is whole
		} else {
			message = append(message, fragment...)
		}
		at += recordHead + size
		if len(message) < messageHead {
			continue
		}
		length := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
		if length > helloMost {
			return nil, malformed("%d bytes, want %d at most", length, helloMost)
		}
		if len(message) >= messageHead+length {
			return message[messageHead : messageHead+length], nil
		}
		if at > MaxSize {
			return nil, malformed("more than %d bytes with the heads of its records", MaxSize)
		}
	}
}

// parse reads a ClientHello without its head.
func parse(b []byte) (h Hello, err error) {
	r := reader{b}
	var version, random, id, suites, compression, extensions reader
	switch {
	case !r.take(2, &version) || version.rest[0] != oldestMajor:
		return h, malformed("a version before SSL 3.0, or none")
	case !r.take(randomSize, &random):
		return h, malformed("no random")
	case !r.vector(1, &id) || len(id.rest) > sessionIDMost:
		return h, malformed("a session id of more than %d bytes", sessionIDMost)
	case !r.vector(2, &suites) || len(suites.rest) < 2 || len(suites.rest)%2 != 0:
		return h, malformed("no whole list of cipher suites")
	case !r.vector(1, &compression) || len(compression.rest) == 0:
		return h, malformed("no list of compression methods")
	case len(r.rest) == 0: // RFC 5246 section 7.4.1.2
		return h, nil
	case !r.vector(2, &extensions) || len(r.rest) > 0:
		return h, malformed("no whole list of extensions")
	}
	var seen [1 << 16 / 64]uint64
	for len(extensions.rest) > 0 {
		var kind, content reader
		if !extensions.take(2, &kind) || !extensions.vector(2, &content) {
			return h, malformed("an extension that is not whole")
		}
		number := uint(kind.rest[0])<<8 | uint(kind.rest[1])
		if seen[number/64]&(1<<(number%64)) != 0 { // RFC 8446 section 4.2
			return h, malformed("extension %d twice", number)
		}
		seen[number/64] |= 1 << (number % 64)
		if number == extensionName {
			if h.ServerName, err = serverName(content); err != nil {
				return h, err
			}
		}
	}
	return h, nil
}

// serverName reads the extension server_name.
func serverName(r reader) (name string, err error) {
	var list reader
	if !r.vector(2, &list) || len(r.rest) > 0 || len(list.rest) == 0 {
		return "", malformed("no whole list of server names")
	}
	found := false
	for len(list.rest) > 0 {
		var kind, host reader
		if !list.take(1, &kind) || !list.vector(2, &host) {
			return "", malformed("a server name that is not whole")
		}
		if kind.rest[0] != nameTypeHost {
			continue
		}
		switch {
		case found: // RFC 6066 section 3
			return "", malformed("two server names")
		case len(host.rest) == 0 || len(host.rest) > nameMost:
			return "", malformed("a server name of %d bytes", len(host.rest))
		}
		name, found = string(host.rest), true
	}
	return name, nil
}

// A reader takes the front of what is left.
type reader struct{ rest []byte }

func (r *reader) take(n int, into *reader) bool {
	if len(r.rest) < n {
		return false
	}
	into.rest, r.rest = r.rest[:n], r.rest[n:]
	return true
}

// vector takes what follows its length, which has as many bytes as size says.
func (r *reader) vector(size int, into *reader) bool {
	var length reader
	if !r.take(size, &length) {
		return false
	}
	n := 0
	for _, b := range length.rest {
		n = n<<8 | int(b)
	}
	return r.take(n, into)
}

func malformed(format string, args ...any) error {
	return &MalformedError{fmt.Sprintf(format, args...)}
}

func incomplete(need int) error {
	if need > MaxSize {
		return malformed("more than %d bytes with the heads of its records", MaxSize)
	}
	return &IncompleteError{need}
}
