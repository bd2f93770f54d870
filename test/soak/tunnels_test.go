package soak

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"

	h2 "golang.org/x/net/http2"
)

// watchHandshake returns a context whose handshake tells whether it was resumed.
func watchHandshake(ctx context.Context, told func(resumed bool)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		TLSHandshakeDone: func(s tls.ConnectionState, err error) { told(err == nil && s.DidResume) },
	})
}

// A tunnel is a WebSocket, of which here only matters that bytes pass.
type tunnel struct {
	write func([]byte) error
	read  io.Reader
	end   func() error // of what is written
	close func()
}

// webSockets opens a WebSocket for each few messages, or one for all.
func webSockets(dial func(*worker, context.Context) (*tunnel, error), stays bool) func(*worker) (func(context.Context) error, func()) {
	return func(w *worker) (func(context.Context) error, func()) {
		var t *tunnel
		act := func(ctx context.Context) (err error) {
			if t == nil {
				lives := ctx
				if stays {
					lives = context.Background()
				}
				if t, err = dial(w, lives); err != nil {
					return err
				}
			}
			for range 3 {
				if err := w.echo(t); err != nil {
					return err
				}
			}
			if stays {
				return nil
			}
			err = t.finish()
			t = nil
			return err
		}
		return act, func() {
			if t == nil {
				return
			}
			if err := t.finish(); err != nil && w.healthy() {
				w.t.Errorf("%s: the end of a WebSocket: %v", w.name, err)
			}
		}
	}
}

func (w *worker) echo(t *tunnel) error {
	from, to := w.some()
	sent := make(chan error, 1)
	go func() { sent <- t.write(content[from:to]) }()
	got := make([]byte, to-from)
	if _, err := io.ReadFull(t.read, got); err != nil {
		t.close() // for whom writes
		return fmt.Errorf("a WebSocket ends with %w", cmp.Or(<-sent, err))
	}
	return cmp.Or(<-sent, same(content[from:to], got))
}

// finish ends the tunnel in order: either side says that it has no more to say.
func (t *tunnel) finish() error {
	defer t.close()
	if err := t.end(); err != nil {
		return err
	}
	if rest, err := io.ReadAll(t.read); err != nil || len(rest) > 0 {
		return fmt.Errorf("after the end of a WebSocket %d bytes and %v", len(rest), err)
	}
	return nil
}

// dialHTTP1 opens a WebSocket by an upgrade (RFC 6455 section 4.1).
func dialHTTP1(w *worker, ctx context.Context) (*tunnel, error) {
	c, err := (&tls.Dialer{Config: w.tls("http/1.1")}).DialContext(ctx, "tcp", w.web)
	if err != nil {
		return nil, err
	}
	conn := c.(*tls.Conn)
	cut := context.AfterFunc(ctx, func() { conn.Close() })
	t := &tunnel{
		write: func(p []byte) error { _, err := conn.Write(p); return err },
		end:   conn.CloseWrite,
		close: func() { cut(); conn.Close() },
	}
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	q, err := http.NewRequest(http.MethodGet, "https://localhost/websocket", nil)
	if err != nil {
		return nil, err
	}
	q.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-WebSocket-Version": {"13"}, "Sec-WebSocket-Key": {key}, deviceField: {w.name},
	}
	if err := q.Write(conn); err != nil {
		t.close()
		return nil, err
	}
	read := bufio.NewReader(conn)
	r, err := http.ReadResponse(read, q)
	if err != nil {
		t.close()
		return nil, err
	}
	if r.StatusCode != http.StatusSwitchingProtocols || r.Header.Get("Sec-WebSocket-Accept") != accept(key) {
		t.close()
		return nil, fmt.Errorf("the upgrade was answered %s", r.Status)
	}
	t.read = read
	return t, nil
}

// dialHTTP2 opens a WebSocket by an extended CONNECT (RFC 8441 section 5), on a
// connection that carries a request as well.
func dialHTTP2(w *worker, ctx context.Context) (*tunnel, error) {
	transport := &h2.Transport{TLSClientConfig: w.tls("h2")}
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	t := &tunnel{
		write: func(p []byte) error { _, err := in.Write(p); return err },
		end:   in.Close,
		close: func() { cancel(); transport.CloseIdleConnections() },
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodConnect, "https://"+w.web+"/websocket", out)
	if err != nil {
		return nil, err
	}
	q.Header = http.Header{":protocol": {"websocket"}, "Sec-WebSocket-Version": {"13"}, deviceField: {w.name}}
	r, err := transport.RoundTrip(q)
	if err != nil {
		t.close()
		return nil, err
	}
	t.read = r.Body
	t.close = func() { cancel(); r.Body.Close(); transport.CloseIdleConnections() }
	if r.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(r.Body)
		t.close()
		return nil, errors.New("the extended CONNECT was answered " + r.Status + ": " + string(said))
	}
	return t, nil
}
