package pemscan

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// A Kind says what an Element is.
type Kind int

// The kinds of Element.
const (
	Block   Kind = iota // a well-formed PEM block
	Broken              // something that begins as a PEM block; Text says what is wrong with it
	Comment             // a line that starts with "#"
	Blank               // a run of empty lines
	Stray               // a run of other lines; Text is the first of them
)

// An Element is a run of lines of a PEM file.
type Element struct {
	Kind  Kind
	Line  int    // the first line's number, from 1
	Lines int    // how many
	Type  string // Block and Broken: the label, such as "CERTIFICATE"
	Bytes []byte // Block: the decoded content
	Text  string
}

var (
	begin = []byte("-----BEGIN ")
	end   = []byte("-----END ")
	dash  = []byte("-----")
)

// Scan splits data into its elements, in order. It never fails: what is not
// PEM comes back as Broken or Stray.
func Scan(data []byte) []Element {
	s := &scanner{rest: data, line: 1}
	for len(s.rest) > 0 {
		number := s.line
		line := s.next()
		switch {
		case isLabel(line, begin):
			s.block(number, label(line, begin))
		case len(bytes.TrimSpace(line)) == 0:
			s.run(Blank, number, "")
		case line[0] == '#':
			s.elements = append(s.elements, Element{Kind: Comment, Line: number, Lines: 1, Text: string(line)})
		default:
			s.run(Stray, number, string(line))
		}
	}
	return s.elements
}

type scanner struct {
	rest     []byte
	line     int
	elements []Element
}

// next returns the next line without its end and trailing blanks.
func (s *scanner) next() []byte {
	line, rest, _ := bytes.Cut(s.rest, []byte("\n"))
	s.rest = rest
	s.line++
	return bytes.TrimRight(line, " \t\r")
}

// run adds a line to the current run of such lines, or begins one.
func (s *scanner) run(k Kind, number int, text string) {
	if n := len(s.elements); n > 0 && s.elements[n-1].Kind == k {
		s.elements[n-1].Lines++
		return
	}
	s.elements = append(s.elements, Element{Kind: k, Line: number, Lines: 1, Text: text})
}

// block reads what follows a BEGIN line up to its END line. A block that is
// never closed ends before the next BEGIN line, so that one lost line costs one
// block and not the rest of the file.
func (s *scanner) block(number int, typ string) {
	body, bodyLine := s.rest, s.line
	fault := ""
	for {
		if len(s.rest) == 0 {
			s.broken(number, typ, fmt.Sprintf("the block has no line %q", "-----END "+typ+"-----"))
			return
		}
		before, beforeLine := s.rest, s.line
		line := s.next()
		switch {
		case isLabel(line, begin):
			s.rest, s.line = before, beforeLine
			s.broken(number, typ, fmt.Sprintf("the block has no line %q before the next one begins on line %d", "-----END "+typ+"-----", beforeLine))
			return
		case isLabel(line, end):
			if got := label(line, end); got != typ {
				s.broken(number, typ, fmt.Sprintf("the block ends as %q on line %d", got, beforeLine))
				return
			}
			body = body[:len(body)-len(before)]
			if fault == "" {
				s.decode(number, typ, body, bodyLine)
			} else {
				s.broken(number, typ, fault)
			}
			return
		case fault == "" && len(line) == 0:
			fault = fmt.Sprintf("line %d inside the block is blank", beforeLine)
		case fault == "" && bytes.IndexByte(line, ':') >= 0:
			fault = fmt.Sprintf("line %d is a header; only bare PEM is read here", beforeLine)
		}
	}
}

func (s *scanner) decode(number int, typ string, body []byte, bodyLine int) {
	// Trailing blanks are harmless and common where text was pasted.
	text := make([]byte, 0, len(body))
	for line := range bytes.Lines(body) {
		text = append(text, bytes.TrimRight(line, " \t\r\n")...)
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	switch {
	case err != nil:
		s.broken(number, typ, fmt.Sprintf("what stands from line %d on is not base64: %v", bodyLine, err))
	case n == 0:
		s.broken(number, typ, "the block is empty")
	default:
		s.elements = append(s.elements, Element{Kind: Block, Line: number, Lines: s.line - number, Type: typ, Bytes: out[:n]})
	}
}

func (s *scanner) broken(number int, typ, text string) {
	s.elements = append(s.elements, Element{Kind: Broken, Line: number, Lines: s.line - number, Type: typ, Text: text})
}

func isLabel(line, prefix []byte) bool {
	return bytes.HasPrefix(line, prefix) && bytes.HasSuffix(line, dash) && len(line) >= len(prefix)+len(dash)
}

func label(line, prefix []byte) string {
	return string(line[len(prefix) : len(line)-len(dash)])
}

// Excerpt shortens a line of a file so that it can be quoted in a message.
func Excerpt(line string) string {
	line = strings.TrimSpace(line)
	const most = 40
	if len(line) > most {
		line = line[:most] + "..."
	}
	return fmt.Sprintf("%q", line)
}
