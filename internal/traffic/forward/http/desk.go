package http

import (
	"sync"
	"time"

	"countersign.dev/internal/traffic/forward/upstream"
	"countersign.dev/internal/wire/http1"
)

// A desk is what an exchange is worked on with. Most connections are silent most
// of the time and have none: a desk goes from one to another.
//
// The state of an exchange is here and not on the stack, because what a
// goroutine might share would be allocated anew for each request.
type desk struct {
	// Request is the head that Next read. Its slices stay valid until Forward,
	// or the next call of Next.
	Request  http1.Request
	response http1.Response

	in   []byte // what was read; in[r:w] is not consumed yet
	r, w int
	rest []byte // of the next request, read with the end of a body
	out  []byte // what is being assembled for a write

	dateSecond int64 // of dateText
	dateText   []byte

	// Of the exchange under way.
	body     body
	relay    relay
	result   Result
	tried    [mostTargets]*upstream.Target
	tries    int
	oddity   string // what AWS's access log calls what is wrong with the request, or odd
	set      *Settings
	started  time.Time
	received int64
	sent     int64
	torn     bool // the client must not take the end of the connection for the end of a body
}

// keepSize bounds the buffers that a desk keeps for the next connection.
const keepSize = 4 * firstSize

var desks = sync.Pool{New: func() any { return &desk{in: make([]byte, firstSize)} }}

func takeDesk() *desk { return desks.Get().(*desk) }

// sit takes a desk, if the connection rested.
func (f *Front) sit() {
	if f.desk == nil {
		f.desk = takeDesk()
	}
}

// Rest gives the desk up until the next call of Await or Next. Only a
// connection that awaits a request may rest.
func (f *Front) Rest() {
	d := f.desk
	if d == nil || d.r != d.w || len(d.rest) > 0 || d.torn {
		return
	}
	f.desk = nil
	if len(d.in) > keepSize || cap(d.out) > keepSize {
		return // it served something large; the garbage collector may have it
	}
	// Nothing of one client stays for the next, but the memory.
	d.Request.Reset()
	d.response.Reset()
	clear(d.in)
	clear(d.out[:cap(d.out)])
	*d = desk{
		Request: d.Request, response: d.response, in: d.in, out: d.out[:0],
		dateSecond: d.dateSecond, dateText: d.dateText,
	}
	desks.Put(d)
}
