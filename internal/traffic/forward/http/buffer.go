package http

import "sync"

const (
	// recordSize is that of the largest TLS record (RFC 8446 section 5.1): no more
	// comes of a client at once.
	recordSize = 16 << 10
	// bufferSize is what answers are read into, most of them at once.
	bufferSize = 32 << 10
	// largeSize holds four records. A large answer is read into it, so that it costs
	// one read from the target, and one write to the client, for four records.
	largeSize = 64 << 10
)

var (
	records      = sync.Pool{New: func() any { return new([recordSize]byte) }}
	buffers      = sync.Pool{New: func() any { return new([bufferSize]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

// firstSize is what the head of a request is read into first: nearly every
// head fits, and a connection that waits for a request holds no more.
const firstSize = 4 << 10

// A pooledBuffer is memory from one of the pools, or none.
type pooledBuffer struct {
	small *[bufferSize]byte
	large *[largeSize]byte
}

// take returns a buffer from the pools.
func (b *pooledBuffer) take() []byte {
	b.small = buffers.Get().(*[bufferSize]byte)
	return b.small[:]
}

// enlarge returns a large buffer that begins with p.
func (b *pooledBuffer) enlarge(p []byte) []byte {
	large := largeBuffers.Get().(*[largeSize]byte)
	copy(large[:], p)
	b.giveBack()
	b.large = large
	return large[:]
}

func (b *pooledBuffer) giveBack() {
	if b.small != nil {
		buffers.Put(b.small)
	}
	if b.large != nil {
		largeBuffers.Put(b.large)
	}
	*b = pooledBuffer{}
}
