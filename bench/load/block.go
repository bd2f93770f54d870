package load

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/net/http2/hpack"

	"countersign.dev/bench/credentials"
)

// requestBlock renders the header fields of a GET. They refer to the static table
// alone, so that the same bytes do for every request of every connection.
func requestBlock(path string) []byte {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	e.WriteField(hpack.HeaderField{}) // brings out the change of the table's size
	block.Reset()
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: credentials.ServerName},
		{Name: ":path", Value: path},
		{Name: "user-agent", Value: "bench"},
		{Name: "accept", Value: "*/*"},
	} {
		e.WriteField(f) // a bytes.Buffer takes everything
	}
	return block.Bytes()
}

// An answer reads the header blocks of answers on one connection. Without a
// dynamic table a block means the same whenever it comes: one that is the same
// as the last good one is good.
type answer struct {
	length  int // of the body that is wanted
	decoder *hpack.Decoder
	block   []byte // as far as it has come
	good    []byte
	status  string // what the decoder found
	stated  string // Content-Length; "": none
}

func (a *answer) expect(length int) {
	a.length = length
	a.decoder = hpack.NewDecoder(0, func(f hpack.HeaderField) {
		switch f.Name {
		case ":status":
			a.status = f.Value
		case "content-length":
			a.stated = f.Value
		}
	})
}

// head takes a piece of a block, which must be that of a 200 of the right length
// when it is whole.
func (a *answer) head(piece []byte, whole bool) error {
	if whole && len(a.block) == 0 && len(a.good) > 0 && bytes.Equal(piece, a.good) {
		return nil
	}
	a.block = append(a.block, piece...)
	if len(a.block) > longestHead {
		return fmt.Errorf("the head of an answer is longer than %d bytes", longestHead)
	}
	if !whole {
		return nil
	}
	a.status, a.stated = "", ""
	if _, err := a.decoder.Write(a.block); err != nil {
		return fmt.Errorf("the head of an answer: %w", err)
	}
	if err := a.decoder.Close(); err != nil {
		return fmt.Errorf("the head of an answer: %w", err)
	}
	if a.status != "200" {
		return fmt.Errorf("the status of an answer is %q, want 200", a.status)
	}
	if a.stated != "" && a.stated != strconv.Itoa(a.length) {
		return fmt.Errorf("the answer has Content-Length %s, want %d", a.stated, a.length)
	}
	a.good, a.block = append(a.good[:0], a.block...), a.block[:0]
	return nil
}

const longestHead = 32 << 10
