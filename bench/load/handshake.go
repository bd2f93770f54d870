package load

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// A handshakes job makes a connection, sends one request, and closes it, again
// and again. With Spec.Resume every connection after a worker's first resumes
// the session of the one before it.
type handshakes struct {
	spec Spec
	work []operation
}

func beginHandshake(s Spec) (job, error) {
	all, err := dialers(s, s.Connections)
	if err != nil {
		return nil, err
	}
	h := &handshakes{spec: s}
	request := requestOf(s)
	for _, d := range all {
		d.config = d.config.Clone()
		if s.Resume {
			d.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		}
		x := newExchange(request, s.Answer)
		first := true
		h.work = append(h.work, func() error {
			resumed, err := d.once(x)
			if err != nil {
				return err
			}
			if want := s.Resume && !first; resumed != want {
				return fmt.Errorf("the session was resumed: %t, want %t", resumed, want)
			}
			first = false
			return nil
		})
	}
	// At least one connection each, so that there is a session to resume.
	for _, once := range h.work {
		if err := once(); err != nil {
			return nil, err
		}
	}
	return h, closed(h.work, s.Warmup).Err()
}

// once makes a connection for a single request.
func (d *dialer) once(x *exchange) (resumed bool, err error) {
	conn, err := d.dial()
	if err != nil {
		return false, err
	}
	return conn.ConnectionState().DidResume, errors.Join(x.on(conn), conn.Close())
}

func (h *handshakes) do() Result    { return closed(h.work, h.spec.Duration) }
func (h *handshakes) finish() error { return nil }
