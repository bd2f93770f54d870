package http

import "sync"

// bufferSize holds two TLS records (RFC 8446 section 5.1: 2^14 bytes each), so
// that a large body costs one read from the target for two records.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// firstSize is what the head of a request is read into first: nearly every
// head fits, and a connection that waits for a request holds no more.
const firstSize = 4 << 10
