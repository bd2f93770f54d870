package resolve

import (
	"encoding/binary"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A question is one Resolve, and how long what was heard is good.
type question struct {
	resolver net.Resolver

	mu    sync.Mutex
	heard bool
	life  time.Duration // the shortest time to live
}

// next is when to ask again.
func (q *question) next() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.heard {
		return unknown
	}
	return min(max(q.life, soonest), latest)
}

// hear takes a message of a server.
func (q *question) hear(message []byte) {
	life, ok := shortest(message)
	if !ok {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.heard, q.life = true, min(q.life, life)
}

// shortest returns the shortest time to live of the records that answer; false:
// none do.
func shortest(message []byte) (life time.Duration, ok bool) {
	var p dnsmessage.Parser
	if _, err := p.Start(message); err != nil {
		return 0, false
	}
	if p.SkipAllQuestions() != nil {
		return 0, false
	}
	life = latest
	for {
		h, err := p.AnswerHeader()
		if err != nil {
			return life, ok
		}
		ok, life = true, min(life, time.Duration(h.TTL)*time.Second)
		if p.SkipAnswer() != nil {
			return life, ok
		}
	}
}

// listen has q hear what comes on conn. Whether that is a packet connection
// tells the resolver how messages are framed.
func (q *question) listen(conn net.Conn) net.Conn {
	if packets, ok := conn.(packetConn); ok {
		return heardPackets{packets, q}
	}
	return &heardStream{Conn: conn, q: q}
}

type packetConn interface {
	net.Conn
	net.PacketConn
}

// heardPackets are messages, one a read.
type heardPackets struct {
	packetConn
	q *question
}

func (h heardPackets) Read(p []byte) (int, error) {
	n, err := h.packetConn.Read(p)
	h.q.hear(p[:n])
	return n, err
}

// A heardStream has messages with their length in front (RFC 1035 section 4.2.2).
type heardStream struct {
	net.Conn
	q   *question
	buf []byte
}

func (h *heardStream) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.buf = append(h.buf, p[:n]...)
	for len(h.buf) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(h.buf))
		if len(h.buf) < end {
			break
		}
		h.q.hear(h.buf[2:end])
		h.buf = h.buf[end:]
	}
	return n, err
}
