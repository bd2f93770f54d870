package stream

import (
	"io"
	"net"
	"sync"
	"time"

	"countersign.dev/internal/traffic/deadline"
	"countersign.dev/internal/traffic/socket"
)

// bufferSize is what one read can take: four of the largest TLS records.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// A Conn is one end of what is carried: TLS or TCP.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// A secure is what a Conn over TLS can do beside: direct.TLS, and that of a target.
type secure interface {
	Conn
	End() error
	Leave() error
	Rest()
	Buffered() bool
	ReadNow(p []byte) (int, error)
}

// A side is the connection with one of the two parties.
type side struct {
	conn    Conn
	tls     secure      // conn, if it is TLS
	socket  socket.Conn // beneath
	readBy  deadline.Lazy
	writeBy deadline.Lazy
	acked   uint64 // bytes that the party had taken when it was looked at last; guarded by the pipe's mu
}

func (s *side) init(conn Conn, socket socket.Conn) {
	s.conn, s.socket = conn, socket
	s.tls, _ = conn.(secure)
}

// rest gives up what is kept for reading; nobody reads.
func (s *side) rest() {
	if s.tls != nil {
		s.tls.Rest()
	}
}

// long ago: a deadline that has whoever waits for the socket stop.
var past = time.Unix(1, 0)

// wake has whoever reads or writes stop.
func (s *side) wake() { s.socket.SetDeadline(past) }

// closeWrite tells the party that nothing more comes.
func (s *side) closeWrite() error {
	if s.tls != nil { // of which CloseWrite sends the alert alone
		return s.tls.End()
	}
	return s.conn.CloseWrite()
}

// reset ends the connection without close_notify and FIN.
func (s *side) reset() {
	s.socket.SetLinger(0)
	s.socket.Close()
}

// lingerFor and lingerBytes bound how long a party that still sends is listened
// to, so that a TCP reset does not destroy our last bytes before they are read.
const (
	lingerFor   = 2 * time.Second
	lingerBytes = 256 << 10
)

// leave closes the connection with a party that is through, as we are with it.
func (s *side) leave() {
	if s.tls == nil {
		s.socket.Close()
		return
	}
	s.tls.Leave() // for which crypto/tls gives it five seconds
}

// farewell says goodbye. What an unheard party still sends is read away within
// bounds.
func (s *side) farewell(unheard bool) {
	defer s.socket.Close()
	s.socket.SetDeadline(time.Now().Add(lingerFor))
	if s.closeWrite() == nil && unheard {
		io.CopyN(io.Discard, onlyReader{s.socket}, lingerBytes)
	}
}

// onlyReader hides WriteTo, which would read past the bound.
type onlyReader struct{ io.Reader }
