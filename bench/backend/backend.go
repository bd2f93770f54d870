package backend

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Paths that are answered in their own way; any other with Small bytes.
const (
	LargePath = "/large" // Large bytes
	EchoPath  = "/echo"  // the head of the request as it arrived
	OncePath  = "/once"  // Small bytes, the last ones of the connection
)

// Echo is the first byte of a connection that is given back what it sends: no
// request of HTTP begins with it.
const Echo = 0

// Sizes of answers, in bytes.
const (
	Small = 64
	Large = 1 << 20
)

// Main serves on a free port of the loopback address, which it writes to out as
// a line, until in ends. secure is as for Serve.
func Main(in io.Reader, out io.Writer, secure *tls.Config) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, secure) }()
	fmt.Fprintln(out, ln.Addr())
	_, err = io.Copy(io.Discard, in)
	cancel()
	return errors.Join(err, <-served)
}

// Serve answers on ln until ctx ends. A connection that begins with a handshake is
// served over TLS, as secure says; nil: there is none.
func Serve(ctx context.Context, ln net.Listener, secure *tls.Config) error {
	a := answers{small: render(bytes.Repeat([]byte("x"), Small)), large: render(bytes.Repeat([]byte("y"), Large)), secure: secure}
	a.once = bytes.Replace(a.small, []byte("\r\n"), []byte("\r\nConnection: close\r\n"), 1)
	var mu sync.Mutex
	var running sync.WaitGroup
	open := map[net.Conn]struct{}{}
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	defer running.Wait()
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		mu.Lock()
		open[conn] = struct{}{}
		if ctx.Err() != nil {
			conn.Close()
		}
		mu.Unlock()
		running.Go(func() {
			a.serve(conn)
			mu.Lock()
			delete(open, conn)
			mu.Unlock()
			conn.Close()
		})
	}
}

// answers are whole responses, head and body in one.
type answers struct {
	small, large, once []byte
	secure             *tls.Config
}

// handshake is the type of the first TLS record (RFC 8446 section 5.1): no request
// of HTTP begins with it.
const handshake = 22

// An opened connection gives the bytes again that were read to look at it.
type opened struct {
	net.Conn
	first []byte
}

func (o *opened) Read(p []byte) (int, error) {
	if len(o.first) == 0 {
		return o.Conn.Read(p)
	}
	n := copy(p, o.first)
	o.first = o.first[n:]
	return n, nil
}

func render(body []byte) []byte {
	return append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
}

var endOfHead = []byte("\r\n\r\n")

// serve answers the requests of one connection until it ends.
func (a *answers) serve(conn net.Conn) {
	buf := make([]byte, 64<<10)
	have, err := conn.Read(buf) // bytes of the next request in buf
	if have > 0 && buf[0] == Echo {
		echo(conn, buf, have)
		return
	}
	if have > 0 && buf[0] == handshake && a.secure != nil {
		first := append([]byte(nil), buf[:have]...)
		conn = tls.Server(&opened{conn, first}, a.secure)
		have, err = conn.Read(buf)
	}
	if have == 0 && err != nil {
		return
	}
	for {
		head := bytes.Index(buf[:have], endOfHead)
		if head < 0 {
			if have == len(buf) {
				return
			}
			n, err := conn.Read(buf[have:])
			if have += n; n == 0 && err != nil {
				return
			}
			continue
		}
		head += len(endOfHead)
		answer := a.choose(buf[:head])
		body, ok := bodyLength(buf[:head])
		if !ok {
			return
		}
		if have -= head; have > body { // the next request follows
			copy(buf, buf[head+body:head+have])
			have -= body
			body = 0
		} else {
			body -= have
			have = 0
		}
		for body > 0 {
			n, err := conn.Read(buf[:min(body, len(buf))])
			if body -= n; n == 0 && err != nil {
				return
			}
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
		if len(answer) == len(a.once) && &answer[0] == &a.once[0] {
			conn.Close() // with close_notify, over TLS
			return
		}
	}
}

// echo gives back what it is sent, the first n bytes of buf before all else.
func echo(conn net.Conn, buf []byte, n int) {
	for {
		if _, err := conn.Write(buf[:n]); err != nil {
			return
		}
		var err error
		if n, err = conn.Read(buf); n == 0 && err != nil {
			return
		}
	}
}

func (a *answers) choose(head []byte) []byte {
	_, rest, _ := bytes.Cut(head, []byte(" "))
	path, _, _ := bytes.Cut(rest, []byte(" "))
	switch string(path) {
	case LargePath:
		return a.large
	case OncePath:
		return a.once
	case EchoPath:
		return render(head)
	}
	return a.small
}

var lengthField = []byte("content-length:")

// bodyLength reads Content-Length; it is false for a body of another framing,
// which this server does not read.
func bodyLength(head []byte) (n int, ok bool) {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\r\n"))
		head = rest
		if len(line) > 0 && line[0]|0x20 == 't' && bytes.EqualFold(line[:min(len(line), 18)], []byte("transfer-encoding:")) {
			return 0, false
		}
		if len(line) < len(lengthField) || !bytes.EqualFold(line[:len(lengthField)], lengthField) {
			continue
		}
		for _, c := range bytes.TrimSpace(line[len(lengthField):]) {
			if c < '0' || c > '9' || n > 1<<40 {
				return 0, false
			}
			n = n*10 + int(c-'0')
		}
	}
	return n, true
}
