package condition

import (
	"bytes"
	"sync"

	"countersign.dev/internal/traffic/route/reading"
	"countersign.dev/internal/wire/http1"
)

// Notes are what was made out of a request on behalf of conditions, each at most once.
type Notes struct {
	fields  []int32 // by slot: 0 not looked for, -1 none, else the first one from 1
	query   []pair
	text    []byte // of decoded pairs
	queried bool
}

type pair struct{ name, value []byte }

// mostKept bounds the bytes that notes keep for the next request.
const mostKept = 8 << 10

var notebooks = sync.Pool{New: func() any { return new(Notes) }}

// TakeNotes returns empty ones, for conditions on that many different headers.
func TakeNotes(headers int) *Notes {
	n := notebooks.Get().(*Notes)
	if cap(n.fields) < headers {
		n.fields = make([]int32, headers)
	}
	n.fields = n.fields[:headers]
	clear(n.fields)
	return n
}

// GiveBack makes n available to other requests. Nothing of one is kept for the next.
func (n *Notes) GiveBack() {
	if len(n.query) > 256 || cap(n.text) > mostKept {
		return
	}
	clear(n.query)
	n.query, n.queried = n.query[:0], false
	notebooks.Put(n)
}

// named calls yield with each value that h is about, until that returns true.
func (n *Notes) named(q *http1.Request, h *Named, yield func([]byte) bool) bool {
	at := n.fields[h.slot]
	if at == 0 {
		at = -1
		for i := range q.Fields {
			if http1.FoldEqual(q.Fields[i].Name, h.Name) {
				at = int32(i + 1)
				break
			}
		}
		n.fields[h.slot] = at
	}
	if at < 0 {
		return false
	}
	for i := int(at) - 1; i < len(q.Fields); i++ {
		if fl := &q.Fields[i]; http1.FoldEqual(fl.Name, h.Name) && yield(fl.Value) {
			return true
		}
	}
	return false
}

// pairs are those of the query, decoded as a form's are: "+" is a blank.
func (n *Notes) pairs(q *http1.Request) []pair {
	if n.queried {
		return n.query
	}
	n.queried, n.text = true, n.text[:0]
	for rest := q.Query; len(rest) > 0; {
		item, after, _ := bytes.Cut(rest, ampersand)
		if rest = after; len(item) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(item, equals)
		n.query = append(n.query, pair{n.decoded(name), n.decoded(value)})
	}
	return n.query
}

var ampersand, equals = []byte("&"), []byte("=")

// decoded is p, or where something in it is encoded a copy of it.
func (n *Notes) decoded(p []byte) []byte {
	if bytes.IndexByte(p, '%') < 0 && bytes.IndexByte(p, '+') < 0 {
		return p
	}
	start := len(n.text)
	n.text = reading.AppendForm(n.text, p)
	return n.text[start:len(n.text):len(n.text)]
}
