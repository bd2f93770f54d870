package crl

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"

	"countersign.dev/internal/wire/pemscan"
)

var (
	begin = []byte("-----BEGIN ")
	end   = []byte("-----END ")
	dash  = []byte("-----")
)

func isLabel(line, prefix []byte) bool {
	return bytes.HasPrefix(line, prefix) && bytes.HasSuffix(line, dash) && len(line) >= len(prefix)+len(dash)
}

func label(line, prefix []byte) []byte { return line[len(prefix) : len(line)-len(dash)] }

// lines reads a text line by line, a very long line in parts.
type lines struct {
	r      *bufio.Reader
	number int    // of the line, from 1
	line   []byte // the last one
	again  bool   // which is to be returned once more
	part   bool   // its rest is to come
}

// next returns the next line without its end and trailing blanks; it is valid
// until the next call.
func (l *lines) next() ([]byte, error) {
	if l.again {
		l.again = false
		return l.line, nil
	}
	line, err := l.r.ReadSlice('\n')
	if err != nil && err != bufio.ErrBufferFull && (err != io.EOF || len(line) == 0) {
		return nil, err
	}
	if !l.part {
		l.number++
	}
	l.part = err == bufio.ErrBufferFull
	l.line = bytes.TrimRight(line, " \t\r\n")
	return l.line, nil
}

// A body is what a PEM block encodes, up to its END line. It is as strict as
// pemscan, and reads no more than it needs.
type body struct {
	lines *lines
	typ   string

	first  int     // line of base64
	carry  [4]byte // base64 that makes no three octets yet
	held   int
	out    []byte // decoded and not read
	buf    []byte // behind out
	padded bool   // nothing may follow
	ended  bool
	fault  string // what is wrong with the block
	err    error  // of reading
}

// Read returns io.EOF at the end of the block, whether good or bad: see fault and err.
func (b *body) Read(p []byte) (int, error) {
	n := copy(p, b.out)
	b.out = b.out[n:]
	for len(b.out) == 0 && !b.ended {
		line, ok := b.line()
		if !ok {
			break
		}
		if need := base64.StdEncoding.DecodedLen(b.held + len(line)); need <= len(p)-n {
			n += b.decode(p[n:], line)
			continue
		} else if cap(b.buf) < need {
			b.buf = make([]byte, max(need, 1024))
		}
		b.out = b.buf[:b.decode(b.buf[:cap(b.buf)], line)]
		more := copy(p[n:], b.out)
		n, b.out = n+more, b.out[more:]
		break
	}
	if n == 0 && b.ended {
		return 0, io.EOF
	}
	return n, nil
}

// drain reads up to the end of the block, to see whether it is whole.
func (b *body) drain() {
	b.out = nil
	var scratch [4096]byte
	for !b.ended {
		b.Read(scratch[:])
	}
}

// line returns the next line of base64, false at the end of the block.
func (b *body) line() (text []byte, ok bool) {
	for {
		part := b.lines.part
		line, err := b.lines.next()
		number := b.lines.number
		switch {
		case err == io.EOF:
			return nil, b.broken(fmt.Sprintf("the block has no line %q", "-----END "+b.typ+"-----"))
		case err != nil:
			b.err, b.ended = err, true
			return nil, false
		case part:
		case isLabel(line, begin):
			b.lines.again = true
			return nil, b.broken(fmt.Sprintf("the block has no line %q before the next one begins on line %d", "-----END "+b.typ+"-----", number))
		case isLabel(line, end):
			b.end(line, number)
			return nil, false
		case len(line) == 0:
			b.amiss(fmt.Sprintf("line %d inside the block is blank", number))
		case bytes.IndexByte(line, ':') >= 0:
			b.amiss(fmt.Sprintf("line %d is a header; only bare PEM is read here", number))
		}
		if b.first == 0 {
			b.first = number
		}
		if b.fault == "" {
			return line, true
		}
	}
}

// end judges the END line.
func (b *body) end(line []byte, number int) {
	b.ended = true
	switch got := label(line, end); {
	case string(got) != b.typ:
		b.amiss(fmt.Sprintf("the block ends as %s on line %d", pemscan.Excerpt(string(got)), number))
	case b.first == 0:
		b.amiss("the block is empty")
	case b.held > 0:
		b.amiss(b.notBase64())
	}
}

// amiss notes the first thing that is wrong; the rest of the block is skipped.
func (b *body) amiss(fault string) {
	if b.fault == "" {
		b.fault = fault
	}
}

func (b *body) broken(fault string) (ok bool) {
	b.amiss(fault)
	b.ended = true
	return false
}

func (b *body) notBase64() string {
	return fmt.Sprintf("what stands from line %d on is not base64", b.first)
}

// decode writes what text encodes, together with what was held back, to dst.
func (b *body) decode(dst, text []byte) (n int) {
	if b.held > 0 {
		take := min(4-b.held, len(text))
		copy(b.carry[b.held:], text[:take])
		b.held, text = b.held+take, text[take:]
		if b.held < 4 {
			return 0
		}
		b.held = 0
		n = b.quanta(dst, b.carry[:])
	}
	whole := len(text) &^ 3
	n += b.quanta(dst[n:], text[:whole])
	b.held = copy(b.carry[:], text[whole:])
	return n
}

// quanta decodes whole groups of four.
func (b *body) quanta(dst, text []byte) int {
	if len(text) == 0 {
		return 0
	}
	n, err := base64.StdEncoding.Strict().Decode(dst, text)
	if err != nil || b.padded {
		b.amiss(b.notBase64())
		return 0
	}
	b.padded = n < len(text)/4*3
	return n
}
