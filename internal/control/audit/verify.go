package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
)

// A Verdict is what Verify found.
type Verdict struct {
	Entries uint64
	Last    string // digest of the last line, in hex; "" when there is none
	Seen    bool   // the digest that was looked for is that of a line
}

// Verify reads a trail to its end, and returns at the first line that is not what
// was written. seen is the digest of a line that must be there, "" for none.
func Verify(r io.Reader, seen string) (Verdict, error) {
	v := Verdict{Seen: seen == ""}
	for line, err := range Lines(r) {
		if err != nil {
			return v, err
		}
		v.Entries, v.Last = line.Sequence, line.Digest
		v.Seen = v.Seen || strings.EqualFold(line.Digest, seen)
	}
	if !v.Seen {
		return v, fmt.Errorf("no line has the digest %s: the end of the trail is missing, or it was written anew", seen)
	}
	return v, nil
}

// A Line is an entry as it stands in a trail.
type Line struct {
	Entry
	Digest string // of the line, in hex
	Text   []byte // without the line feed
}

// Lines are those of a trail, from its first. It ends with an error at a line
// that is not what was written.
func Lines(r io.Reader) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		in := bufio.NewReaderSize(r, longest)
		var previous digest
		for n := uint64(1); ; n++ {
			text, err := in.ReadSlice('\n')
			switch {
			case err == io.EOF && len(text) == 0:
				return
			case err == io.EOF:
				yield(Line{}, fmt.Errorf("line %d: it has no end: it was not written to the end, or has been cut", n))
				return
			case err == bufio.ErrBufferFull:
				yield(Line{}, fmt.Errorf("line %d: it is longer than any that was written", n))
				return
			case err != nil:
				yield(Line{}, err)
				return
			}
			line, err := parse(text, n, previous)
			if !yield(line, err) || err != nil {
				return
			}
			previous = digestOf(text)
		}
	}
}

func parse(text []byte, n uint64, previous digest) (Line, error) {
	var e Entry
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Line{}, fmt.Errorf("line %d: it is not an entry: %v", n, err)
	}
	if e.Sequence != n {
		return Line{}, fmt.Errorf("line %d: it has the sequence %d: a line was taken out or put in", n, e.Sequence)
	}
	if e.Previous != previous.String() {
		return Line{}, fmt.Errorf("line %d: it follows a line with the digest %s, the one before it has %s: one of the two was changed", n, e.Previous, previous)
	}
	return Line{Entry: e, Digest: digestOf(text).String(), Text: bytes.TrimSuffix(bytes.Clone(text), []byte("\n"))}, nil
}
