package fleet

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// socketName is how PostgreSQL calls its socket.
const socketName = ".s.PGSQL.5432"

// trips passes connections on to a PostgreSQL server, and counts round trips: how
// often a client speaks after the server has.
type trips struct {
	listener net.Listener
	server   string // path of its socket
	count    atomic.Int64

	mu    sync.Mutex
	open  []net.Conn
	ended bool
	busy  sync.WaitGroup
}

// watchTrips listens in dir, as a server of PostgreSQL whose directory is server.
func watchTrips(dir, server string) (*trips, error) {
	ln, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		return nil, err
	}
	t := &trips{listener: ln, server: filepath.Join(server, socketName)}
	t.busy.Go(t.accept)
	return t, nil
}

func (t *trips) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", t.server)
		if err != nil {
			client.Close()
			continue
		}
		if !t.keep(client, server) {
			return
		}
		var asked atomic.Bool // the client has spoken last
		t.busy.Go(func() {
			_, _ = io.Copy(spoken{server, func() {
				if !asked.Swap(true) {
					t.count.Add(1)
				}
			}}, client)
			server.Close()
		})
		t.busy.Go(func() {
			_, _ = io.Copy(spoken{client, func() { asked.Store(false) }}, server)
			client.Close()
		})
	}
}

// keep has stop close the connections; when it has been called they are closed now.
func (t *trips) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = append(t.open, conns...)
	if t.ended {
		for _, c := range t.open {
			c.Close()
		}
	}
	return !t.ended
}

func (t *trips) stop() error {
	err := t.listener.Close()
	t.mu.Lock()
	t.ended = true
	for _, c := range t.open {
		if e := c.Close(); !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	t.mu.Unlock()
	t.busy.Wait()
	return err
}

// spoken calls heard before it writes.
type spoken struct {
	io.Writer
	heard func()
}

func (s spoken) Write(p []byte) (int, error) {
	s.heard()
	return s.Writer.Write(p)
}
