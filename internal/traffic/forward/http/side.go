package http

import (
	"sync/atomic"
	"time"

	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// The client speaks one version of HTTP, the target perhaps another. An Exchange
// stands between the two and knows these sides of them: content comes from a
// source and goes along a line, the answer comes along the line and goes into a
// sink. Heads are http1's on all sides.

// A source is where the content of a request comes from. It is read by one
// goroutine at a time.
type source interface {
	// atHand returns what is there of the content without waiting, valid until
	// the exchange ends; done: that is all of it.
	atHand(e *Exchange) (p []byte, done bool, err error)
	// pull waits for more and returns it within buf. errStopped tells that stop
	// was set and wake called.
	pull(e *Exchange, buf []byte, patience time.Duration, stop *atomic.Bool) (p []byte, done bool, err error)
	// trailers are those of the request, after done.
	trailers(e *Exchange) []http1.Field
	wake()
}

// A sink is where the answer goes. An error is the client's.
type sink interface {
	// interim passes on the 1xx head in e.response.
	interim(e *Exchange) error
	// data passes on content, behind the head in e.response when called for the
	// first time; done: that was all, and e's line has the trailers.
	data(e *Exchange, p []byte, done bool) error
	// refuse sends an answer of our own.
	refuse(e *Exchange, a *refusal) error
	// measure brings e's counts of bytes up to date.
	measure(e *Exchange)
	// tunnel says that the protocol is switched and returns the connection, on
	// which p, from the target, comes first.
	tunnel(e *Exchange, p []byte) (duplex, error)
}

// A line leads to a target.
type line interface {
	asker
	answerer
	target() *upstream.Target
	// abort makes whoever waits on the line stop. Any goroutine may call it while
	// the line is held.
	abort()
	// release gives the line up; clean: it may serve another exchange.
	release(clean bool)
}

type asker interface {
	// ask sends the head, and the content that is at hand. It returns whether
	// anything of it has left.
	ask(e *Exchange) (sent bool, err error)
	// add sends more content; done: that was all, and e's source has the trailers.
	add(e *Exchange, p []byte, done bool) error
}

type answerer interface {
	// head reads the next head into e.response.
	head(e *Exchange) error
	// repeatable reports whether the error of ask or head leaves it open, or
	// certain, that the target has not seen the request.
	repeatable(err error) (perhaps, surely bool)
	// content returns content of the answer, valid until the next call. Without
	// wait it is what came with the head, perhaps nothing.
	content(e *Exchange, wait bool) (p []byte, done bool, err error)
	// trailers are those of the answer, after done.
	trailers() []http1.Field
	// tunnel returns what is left of the connection after a switch of protocols,
	// and what came of it already.
	tunnel(e *Exchange) (duplex, []byte)
}

// A duplex carries bytes after a switch of protocols. One goroutine may read
// while another writes.
type duplex interface {
	// read returns io.EOF when the other side has said all it had to say.
	read(p []byte, patience time.Duration, stop *atomic.Bool) (int, error)
	write(p []byte) error
	closeWrite() error
	// wake makes a read under way return, when stop is set.
	wake()
}
