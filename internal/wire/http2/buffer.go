package http2

import "sync"

// An input holds what was read from the socket: one frame at least, so that a
// timeout never finds half of one anywhere else.
type input struct{ b []byte }

const (
	smallInput = 4 << 10
	largeInput = 32 << 10 // a frame, and what came behind it
)

var smallInputs, largeInputs, outputs, smallChunks, largeChunks sync.Pool

func takeInput(large bool) *input {
	pool, size := &smallInputs, smallInput
	if large {
		pool, size = &largeInputs, largeInput
	}
	if in, ok := pool.Get().(*input); ok {
		return in
	}
	return &input{make([]byte, size)}
}

func (in *input) give() {
	if len(in.b) == smallInput {
		smallInputs.Put(in)
	} else {
		largeInputs.Put(in)
	}
}

// An output collects frames until somebody writes them.
type output struct{ b []byte }

// mostOutput bounds the buffers that are kept for others.
const mostOutput = 128 << 10

func takeOutput() *output {
	if out, ok := outputs.Get().(*output); ok {
		return out
	}
	return &output{make([]byte, 0, 4<<10)}
}

func (out *output) give() {
	if cap(out.b) <= mostOutput {
		out.b = out.b[:0]
		outputs.Put(out)
	}
}

// A chunk holds DATA that nobody has read yet.
type chunk struct {
	next *chunk
	r, w int
	b    []byte
}

const (
	smallChunk = 1 << 10
	largeChunk = 16 << 10
)

func takeChunk(large bool) *chunk {
	pool, size := &smallChunks, smallChunk
	if large {
		pool, size = &largeChunks, largeChunk
	}
	if c, ok := pool.Get().(*chunk); ok {
		return c
	}
	return &chunk{b: make([]byte, size)}
}

func (c *chunk) give() {
	c.next, c.r, c.w = nil, 0, 0
	if len(c.b) == smallChunk {
		smallChunks.Put(c)
	} else {
		largeChunks.Put(c)
	}
}

// A queue is the DATA of one stream, first in, first out. It takes little more
// memory than the data: chunks are filled before there is another.
type queue struct {
	first, last *chunk
	n           int // octets
}

func (q *queue) push(p []byte) {
	q.n += len(p)
	for len(p) > 0 {
		if q.last == nil || q.last.w == len(q.last.b) {
			c := takeChunk(len(p) > smallChunk)
			if q.last == nil {
				q.first = c
			} else {
				q.last.next = c
			}
			q.last = c
		}
		n := copy(q.last.b[q.last.w:], p)
		q.last.w += n
		p = p[n:]
	}
}

func (q *queue) pop(p []byte) (n int) {
	for n < len(p) && q.first != nil {
		c := q.first
		m := copy(p[n:], c.b[c.r:c.w])
		n += m
		if c.r += m; c.r == c.w {
			if q.first = c.next; q.first == nil {
				q.last = nil
			}
			c.give()
		}
	}
	q.n -= n
	return n
}

// drop empties the queue and returns how many octets there were.
func (q *queue) drop() (n int) {
	for c := q.first; c != nil; {
		next := c.next
		c.give()
		c = next
	}
	n = q.n
	*q = queue{}
	return n
}
