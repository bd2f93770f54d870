package http2

import "sync"

// An input holds what was read from the socket: one frame at least, so that a
// timeout never finds half of one anywhere else.
type input struct{ b []byte }

const (
	smallInput = 4 << 10
	largeInput = 32 << 10 // a frame, and what came behind it
)

var smallInputs, largeInputs, outputs sync.Pool

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
