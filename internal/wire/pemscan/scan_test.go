package pemscan

import (
	"bytes"
	"encoding/pem"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScan(t *testing.T) {
	const block = "-----BEGIN X-----\nAAEC\n-----END X-----\n"
	for name, c := range map[string]struct {
		in   string
		want []Element
	}{
		"nothing":        {"", nil},
		"two blocks":     {block + block, []Element{{Line: 1, Lines: 3, Type: "X", Bytes: []byte{0, 1, 2}}, {Line: 4, Lines: 3, Type: "X", Bytes: []byte{0, 1, 2}}}},
		"CRLF":           {"-----BEGIN X-----\r\nAAEC\r\n-----END X-----\r\n", []Element{{Line: 1, Lines: 3, Type: "X", Bytes: []byte{0, 1, 2}}}},
		"no end of line": {"-----BEGIN X-----\nAAEC\n-----END X-----", []Element{{Line: 1, Lines: 3, Type: "X", Bytes: []byte{0, 1, 2}}}},
		"comment, blank, stray": {"# a\n\n \nfoo\nbar\n" + block, []Element{
			{Kind: Comment, Line: 1, Lines: 1, Text: "# a"}, {Kind: Blank, Line: 2, Lines: 2}, {Kind: Stray, Line: 4, Lines: 2, Text: "foo"},
			{Line: 6, Lines: 3, Type: "X", Bytes: []byte{0, 1, 2}}}},
		"never closed": {"-----BEGIN X-----\nAAEC\n", []Element{{Kind: Broken, Line: 1, Lines: 2, Type: "X", Text: `the block has no line "-----END X-----"`}}},
		"closed too late": {"-----BEGIN X-----\nAAEC\n" + block, []Element{
			{Kind: Broken, Line: 1, Lines: 2, Type: "X", Text: `the block has no line "-----END X-----" before the next one begins on line 3`},
			{Line: 3, Lines: 3, Type: "X", Bytes: []byte{0, 1, 2}}}},
		"other end":  {"-----BEGIN X-----\nAAEC\n-----END Y-----\n", []Element{{Kind: Broken, Line: 1, Lines: 3, Type: "X", Text: `the block ends as "Y" on line 3`}}},
		"empty":      {"-----BEGIN X-----\n-----END X-----\n", []Element{{Kind: Broken, Line: 1, Lines: 2, Type: "X", Text: "the block is empty"}}},
		"header":     {"-----BEGIN X-----\nA: b\n\nAAEC\n-----END X-----\n", []Element{{Kind: Broken, Line: 1, Lines: 5, Type: "X", Text: "line 2 is a header; only bare PEM is read here"}}},
		"not base64": {"-----BEGIN X-----\nA!EC\n-----END X-----\n", []Element{{Kind: Broken, Line: 1, Lines: 3, Type: "X", Text: "what stands from line 2 on is not base64: illegal base64 data at input byte 1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Scan([]byte(c.in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every line belongs to exactly one element, and what is called a block,
// encoding/pem reads alike.
func FuzzScan(f *testing.F) {
	f.Add([]byte("-----BEGIN X-----\nAAEC\n-----END X-----\n# c\n\nfoo\n"))
	f.Add([]byte("-----BEGIN X-----\nA: b\n\n-----BEGIN X-----\nAAEC\n-----END Y-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bytes.Count(data, []byte("\n"))
		if len(data) > 0 && data[len(data)-1] != '\n' {
			lines++
		}
		next := 1
		for _, e := range Scan(data) {
			if e.Line != next || e.Lines < 1 {
				t.Fatalf("element %+v begins on line %d, want %d", e, e.Line, next)
			}
			next += e.Lines
			if e.Kind == Block {
				again := pem.EncodeToMemory(&pem.Block{Type: e.Type, Bytes: e.Bytes})
				b, _ := pem.Decode(again)
				if b == nil || !bytes.Equal(b.Bytes, e.Bytes) {
					t.Fatalf("block of type %q does not survive a round trip", e.Type)
				}
			}
		}
		if next != lines+1 {
			t.Fatalf("%d lines accounted for, the file has %d", next-1, lines)
		}
	})
}
