package crl

import (
	"errors"
	"fmt"
	"hash"
	"io"

	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// windowSize bounds every element of a list that is looked at as a whole: an
// entry, the issuer's name, the extensions.
const windowSize = 64 << 10

var errMalformed = errors.New("not a revocation list: malformed DER")

// A window shows DER in pieces, from front to back.
type window struct {
	r      io.Reader
	buf    []byte
	lo, hi int   // what was read and not consumed
	at     int64 // where lo is in the list
	err    error // of r

	fed    int       // buf[fed:lo] has not been passed on yet
	sum    hash.Hash // is given everything that is consumed
	signed io.Writer // is given it too, when not nil
	pause  func()    // nil: none
}

// reset begins a list in r.
func (w *window) reset(r io.Reader, sum hash.Hash) {
	if w.buf == nil {
		w.buf = make([]byte, windowSize)
	}
	*w = window{r: r, buf: w.buf, sum: sum, pause: w.pause}
}

// want makes n octets visible, n being at most windowSize.
func (w *window) want(n int) error {
	if w.hi-w.lo >= n {
		return nil
	}
	if w.pause != nil {
		w.pause()
	}
	w.flush()
	w.hi = copy(w.buf, w.buf[w.lo:w.hi])
	w.lo, w.fed = 0, 0
	for w.hi < n && w.err == nil {
		var more int
		more, w.err = w.r.Read(w.buf[w.hi:])
		w.hi += more
	}
	switch {
	case w.hi >= n:
		return nil
	case w.err == io.EOF:
		return errCutOff
	}
	return w.err
}

// errCutOff says that the input ended too early; where, the parser adds.
var errCutOff = errors.New("the revocation list is cut off")

func (w *window) skip(n int) {
	w.lo += n
	w.at += int64(n)
}

func (w *window) flush() {
	w.sum.Write(w.buf[w.fed:w.lo])
	if w.signed != nil {
		w.signed.Write(w.buf[w.fed:w.lo])
	}
	w.fed = w.lo
}

// sign passes what is consumed from here on to the writer as well; nil ends that.
func (w *window) sign(to io.Writer) {
	w.flush()
	w.signed = to
}

// A header is the identifier and length of an element in DER.
type header struct {
	tag  cbasn1.Tag
	size int   // of the header itself
	end  int64 // of the element
}

// header looks at the one that comes next, which may not reach beyond end.
func (w *window) header(end int64) (h header, err error) {
	if w.at+2 > end {
		return h, errMalformed
	}
	if err := w.want(2); err != nil {
		return h, err
	}
	b := w.buf[w.lo:w.hi]
	h.tag, h.size = cbasn1.Tag(b[0]), 2
	length := int64(b[1])
	if b[0]&0x1f == 0x1f { // no tag of a list takes more than an octet
		return h, errMalformed
	}
	if octets := int(b[1] & 0x7f); b[1]&0x80 != 0 {
		if octets < 1 || octets > 5 || w.at+2+int64(octets) > end {
			return h, errMalformed
		}
		h.size += octets
		if err := w.want(h.size); err != nil {
			return h, err
		}
		length = 0
		for _, c := range w.buf[w.lo+2 : w.lo+h.size] {
			length = length<<8 | int64(c)
		}
		// DER writes a length in as few octets as it takes (X.690 section 10.1).
		if length < 0x80 || length>>(8*(octets-1)) == 0 {
			return h, errMalformed
		}
	}
	if h.end = w.at + int64(h.size) + length; h.end > end {
		return h, errMalformed
	}
	return h, nil
}

// enter consumes the header of an element whose content is read in pieces.
func (w *window) enter(tag cbasn1.Tag, end int64) (header, error) {
	h, err := w.header(end)
	if err == nil && h.tag != tag {
		err = errMalformed
	}
	if err == nil {
		w.skip(h.size)
	}
	return h, err
}

// element consumes a whole element, header included. What it returns is valid
// until the next call.
func (w *window) element(what string, end int64) ([]byte, error) {
	h, err := w.header(end)
	if err != nil {
		return nil, err
	}
	n := h.end - w.at
	if n > windowSize {
		return nil, fmt.Errorf("%s takes %d bytes; want at most %d", what, n, windowSize)
	}
	if err := w.want(int(n)); err != nil {
		return nil, err
	}
	b := w.buf[w.lo : w.lo+int(n)]
	w.skip(int(n))
	return b, nil
}

// ended reports how much follows what was consumed.
func (w *window) ended() (more int64, err error) {
	more = int64(w.hi - w.lo)
	if w.err == nil {
		var n int64
		n, w.err = io.Copy(io.Discard, w.r)
		more += n
	}
	if w.err == io.EOF {
		w.err = nil
	}
	return more, w.err
}
