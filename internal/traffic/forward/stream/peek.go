package stream

import (
	"errors"
	"io"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/clienthello"
)

// firstPeek is what most ClientHellos fit into.
const firstPeek = 4 << 10

// Peek reads from a client until it is known which server name it asks for, if it
// speaks TLS: "" for one that does not, or that asks for none. A client that says
// nothing at all within patience has none either, since some wait for the server to
// speak first. What was read has to go to the target before all else.
func (p *Pipe) Peek(patience time.Duration) (name string, read []byte, denial *countersign.Denial) {
	conn := p.client.conn
	conn.SetReadDeadline(time.Now().Add(patience))
	if p.ending.Load() != nil { // whose deadline was overwritten
		return "", nil, nil
	}
	defer conn.SetReadDeadline(time.Time{})
	buf, n := []byte(nil), 0
	for need := 1; ; {
		if need > len(buf) {
			grown := make([]byte, max(need, firstPeek))
			copy(grown, buf[:n])
			buf = grown
		}
		more, err := conn.Read(buf[n:])
		n += more
		if n >= need {
			h, wrong := clienthello.Parse(buf[:n])
			if incomplete, ok := errors.AsType[*clienthello.IncompleteError](wrong); ok {
				need = incomplete.Need
			} else { // whatever is wrong with it, the target will say
				return h.ServerName, buf[:n], nil
			}
		}
		switch {
		case err == nil:
		case timedOut(err) && n == 0:
			return "", nil, nil
		case timedOut(err):
			return "", nil, countersign.Deny(countersign.StageHandshake, countersign.HandshakeTimeout,
				"%d bytes of a ClientHello arrived and no more within %s (timeouts.handshake); %d were to come", n, patience, need-n)
		case err == io.EOF: // perhaps it wants to hear something all the same
			return "", buf[:n], nil
		default:
			return "", nil, countersign.Deny(countersign.StageParse, countersign.ClientClosed,
				"the client broke off within its first %d bytes: %v", n, err)
		}
	}
}
