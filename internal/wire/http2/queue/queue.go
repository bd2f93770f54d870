package queue

import "sync"

// A chunk is a piece of memory with what is in it and not read.
type chunk struct {
	next *chunk
	r, w int
	b    []byte
}

const (
	small = 1 << 10
	large = 16 << 10
)

var smalls, larges sync.Pool

func take(size int) *chunk {
	pool := &smalls
	if size == large {
		pool = &larges
	}
	if c, ok := pool.Get().(*chunk); ok {
		return c
	}
	return &chunk{b: make([]byte, size)}
}

func (c *chunk) give() {
	c.next, c.r, c.w = nil, 0, 0
	if len(c.b) == large {
		larges.Put(c)
	} else {
		smalls.Put(c)
	}
}

// A Queue is a sequence of octets, first in, first out. The zero value is empty.
// It takes little more memory than the octets: a chunk is filled before there is
// another.
type Queue struct {
	first, last *chunk
	n           int
}

// Len returns how many octets there are.
func (q *Queue) Len() int { return q.n }

// Push appends a copy of p.
func (q *Queue) Push(p []byte) {
	q.n += len(p)
	for len(p) > 0 {
		if q.last == nil || q.last.w == len(q.last.b) {
			size := small
			if len(p) > small {
				size = large
			}
			c := take(size)
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

// Pop moves octets into p, as many as there are and fit, and returns how many.
func (q *Queue) Pop(p []byte) (n int) {
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

// Drop empties the queue and returns how many octets there were.
func (q *Queue) Drop() (n int) {
	for c := q.first; c != nil; {
		next := c.next
		c.give()
		c = next
	}
	n = q.n
	*q = Queue{}
	return n
}
