package load

import (
	"errors"
	"net"
)

// A keepAlive job sends requests on connections that stay open, on each the next
// when the last one is answered.
type keepAlive struct {
	spec  Spec
	conns []net.Conn
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
		conn, err := d.open(s.Plain)
		if err != nil {
			return nil, errors.Join(err, k.finish())
		}
		k.conns = append(k.conns, conn)
		x := newExchange(request, s.Answer)
		k.work = append(k.work, func() error { return x.on(conn) })
	}
	if err := closed(k.work, s.Warmup).Err(); err != nil {
		return nil, errors.Join(err, k.finish())
	}
	return k, nil
}

// open connects, with TLS unless it is to be plain.
func (d *dialer) open(plain bool) (net.Conn, error) {
	if plain {
		return d.connect()
	}
	conn, err := d.dial()
	if err != nil {
		return nil, err // not a nil *tls.Conn in an interface
	}
	return conn, nil
}

func (k *keepAlive) do() Result { return closed(k.work, k.spec.Duration) }

func (k *keepAlive) finish() error {
	for _, c := range k.conns {
		c.Close() // what it says is of no interest any more
	}
	return nil
}
