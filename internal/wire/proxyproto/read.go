package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
)

// ErrSilent is the error of a connection that ended before its first byte.
var ErrSilent = errors.New("the connection ended before its first byte")

// A Conn is a socket, at which one may look before one reads.
type Conn interface {
	net.Conn
	syscall.Conn
}

// Begins waits until it is certain whether a header comes first on c, within c's
// read deadline. It takes nothing: all bytes are still there. The error is
// ErrSilent or the connection's.
func Begins(c Conn) (bool, error) {
	for known := 0; ; {
		var first [12]byte
		n, err := peek(c, first[:], known)
		switch {
		case err == io.EOF:
			return false, ErrSilent
		case err != nil:
			return false, err
		}
		switch begins(first[:n]) {
		case yes:
			return true, nil
		case no:
			return false, nil
		}
		known = n
	}
}

type answer int

const (
	no answer = iota
	yes
	perhaps
)

// signatures are what headers begin with. The space keeps a method of WebDAV and
// the like apart.
var signatures = [...][]byte{[]byte("PROXY "), signatureV2}

// begins says whether a header begins with b.
func begins(b []byte) answer {
	for _, signature := range signatures {
		switch {
		case bytes.HasPrefix(b, signature):
			return yes
		case bytes.HasPrefix(signature, b):
			return perhaps
		}
	}
	return no
}

// Read takes a header from c, and not a byte more, within c's read deadline. That
// there is one, Begins has found out. The error is a *MalformedError, or the
// connection's: io.ErrUnexpectedEOF if it ended in the middle.
func Read(c Conn) (*Header, error) {
	b := make([]byte, prefixSize, 2*MaxV1)
	_, err := io.ReadFull(c, b[:len(signatureV1)])
	switch {
	case err != nil:
	case bytes.Equal(b[:len(signatureV1)], signatureV1):
		b, err = readLine(c, b[:len(signatureV1)])
	default:
		b, err = readBlock(c, b)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	h, err := Parse(b)
	if err != nil {
		return nil, err
	}
	if nested(c) {
		return nil, malformed("another PROXY header follows it: only the proxy next to us is asked")
	}
	return h, nil
}

// readBlock reads the rest of a header of version 2, of which 5 bytes are in b.
func readBlock(c Conn, b []byte) ([]byte, error) {
	if _, err := io.ReadFull(c, b[len(signatureV1):prefixSize]); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, signatureV2) {
		return nil, malformed("it does not begin as a PROXY header does")
	}
	if b[12]>>4 != 2 {
		return nil, malformed("its version is not 2") // so that its length may mean anything
	}
	size := int(binary.BigEndian.Uint16(b[14:]))
	if prefixSize+size > MaxV2 {
		return nil, malformed("it is longer than 4 KiB")
	}
	whole := append(b[:prefixSize:prefixSize], make([]byte, size)...)
	_, err := io.ReadFull(c, whole[prefixSize:])
	return whole, err
}

// readLine reads the rest of a header of version 1, the beginning of which is b.
// Where its end is not known yet, all that is there belongs to it.
func readLine(c Conn, b []byte) ([]byte, error) {
	for len(b) < MaxV1 {
		var some [MaxV1]byte
		n, err := peek(c, some[:MaxV1-len(b)], 0)
		if err != nil {
			return nil, err
		}
		end := bytes.IndexByte(some[:n], '\n')
		if end >= 0 {
			n = end + 1
		}
		if _, err := io.ReadFull(c, some[:n]); err != nil {
			return nil, err
		}
		b = append(b, some[:n]...)
		if end >= 0 {
			return b, nil
		}
	}
	return nil, malformed("version 1 ends with CR LF within 107 bytes")
}

// nested reports whether another header is there already. What comes later is
// nonsense to every protocol that could follow.
func nested(c Conn) bool {
	var next [12]byte
	n := glance(c, next[:])
	return begins(next[:n]) == yes
}
