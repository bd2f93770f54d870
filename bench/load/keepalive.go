package load

import (
	"crypto/tls"
	"errors"
)

// A keepAlive job sends requests on connections that stay open, on each the next
// when the last one is answered.
type keepAlive struct {
	spec  Spec
	conns []*tls.Conn
	work  []operation
}

func beginKeepAlive(s Spec) (job, error) { return connect(s) }

// connect makes and warms the connections.
func connect(s Spec) (*keepAlive, error) {
	k := &keepAlive{spec: s}
	all, err := dialers(s, s.Connections)
	if err != nil {
		return nil, err
	}
	request := requestOf(s)
	for _, d := range all {
		conn, err := d.dial()
		if err != nil {
			return nil, errors.Join(err, k.finish())
		}
		k.conns = append(k.conns, conn)
		x := newExchange(request, s.Answer)
		k.work = append(k.work, func() error { return x.on(conn) })
	}
	if err := closed(k.work, s.Warmup).firstError(); err != nil {
		return nil, errors.Join(err, k.finish())
	}
	return k, nil
}

func (k *keepAlive) do() Result { return closed(k.work, k.spec.Duration) }

func (k *keepAlive) finish() error {
	for _, c := range k.conns {
		c.Close() // what it says is of no interest any more
	}
	return nil
}
