package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"countersign.dev/bench/backend"
	"countersign.dev/bench/credentials"
)

// patience is how much longer than the work a connection may take.
const patience = 30 * time.Second

// A dialer makes connections to the server.
type dialer struct {
	address string
	config  *tls.Config
	until   time.Time // deadline of every connection
	from    net.Addr  // nil: as the system likes
}

// fromOne is how many connections one address makes to a server: a few less than
// there are ephemeral ports.
const fromOne = 20_000

// source is the address of the ith connection: one of 127.0.0.0/8.
func source(i int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/fromOne))} }

// dialers returns one for each of n connections, with the devices' certificates
// in turns.
func dialers(s Spec, n int) ([]*dialer, error) {
	known := make([]*tls.Config, min(n, len(s.Clients)))
	for i := range known {
		var err error
		if known[i], err = credentials.Dial(s.Root, s.Clients[i]); err != nil {
			return nil, err
		}
	}
	all := make([]*dialer, n)
	for i := range all {
		all[i] = &dialer{address: s.Address, config: known[i%len(known)], until: time.Now().Add(s.Warmup + s.Duration + patience)}
	}
	return all, nil
}

// connect connects without TLS.
func (d *dialer) connect() (net.Conn, error) {
	raw, err := (&net.Dialer{LocalAddr: d.from}).Dial("tcp", d.address)
	if err == nil {
		raw.SetDeadline(d.until)
	}
	return raw, err
}

// dial connects and finishes the handshake.
func (d *dialer) dial() (*tls.Conn, error) {
	raw, err := d.connect()
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, d.config)
	err = conn.HandshakeContext(context.Background())
	if err == nil {
		err = errors.Join(credentials.Check(conn.ConnectionState()), d.agreed(conn.ConnectionState().NegotiatedProtocol))
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// agreed refuses a server that does not take up the protocol that was offered.
// (HTTP/1.1 is spoken without an offer, and crypto/tls refuses whoever takes up
// what was not offered.)
func (d *dialer) agreed(protocol string) error {
	if offered := d.config.NextProtos; len(offered) > 0 && protocol != offered[0] {
		return fmt.Errorf("the server agrees by ALPN to the protocol %q, want %q", protocol, offered[0])
	}
	return nil
}

// An exchange is a request that is sent again and again, with the memory to
// read its answer. It belongs to one worker.
type exchange struct {
	request []byte // head and body
	answer  int    // bytes the answer must have
	buf     []byte
}

// requestOf renders the request of a Spec, to be shared by exchanges.
func requestOf(s Spec) []byte {
	if s.Echo > 0 {
		return append([]byte{backend.Echo}, bytes.Repeat([]byte("e"), s.Echo-1)...)
	}
	if s.Upload == 0 {
		return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", s.Path, credentials.ServerName)
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Length: %d\r\n\r\n",
		s.Path, credentials.ServerName, s.Upload)
	return append(head, bytes.Repeat([]byte("z"), s.Upload)...)
}

func newExchange(request []byte, answer int) *exchange {
	return &exchange{request: request, answer: answer, buf: make([]byte, 32<<10)}
}

var (
	endOfHead = []byte("\r\n\r\n")
	goodLine  = []byte("HTTP/1.1 200 ")
)

// on sends the request on conn and reads the answer, which must be a 200 of the
// expected length on a connection that stays open.
func (x *exchange) on(conn io.ReadWriter) error {
	if _, err := conn.Write(x.request); err != nil {
		return fmt.Errorf("sending a request: %w", err)
	}
	if x.request[0] == backend.Echo {
		return x.returned(conn)
	}
	have, head := 0, -1
	for head < 0 {
		if have == len(x.buf) {
			return fmt.Errorf("the head of an answer is longer than %d bytes", have)
		}
		n, err := conn.Read(x.buf[have:])
		if n == 0 && err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		have += n
		head = bytes.Index(x.buf[:have], endOfHead)
	}
	length, err := x.judge(x.buf[:head+2])
	if err != nil {
		return err
	}
	for left := length - (have - head - len(endOfHead)); left != 0; {
		if left < 0 {
			return fmt.Errorf("%d bytes came after an answer of %d", -left, length)
		}
		n, err := conn.Read(x.buf[:min(left, len(x.buf))])
		if n == 0 && err != nil {
			return fmt.Errorf("reading an answer, %d bytes before its end: %w", left, err)
		}
		left -= n
	}
	return nil
}

// returned reads what was sent, as it comes back.
func (x *exchange) returned(conn io.Reader) error {
	back := x.buf[:len(x.request)]
	if n, err := io.ReadFull(conn, back); err != nil {
		return fmt.Errorf("reading an echo, %d bytes before its end: %w", len(back)-n, err)
	}
	if !bytes.Equal(back, x.request) {
		return fmt.Errorf("%q came back for %q", back, x.request)
	}
	return nil
}

// judge reads the head of an answer and returns the length of its body.
func (x *exchange) judge(head []byte) (length int, err error) {
	if !bytes.HasPrefix(head, goodLine) {
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		return 0, fmt.Errorf("the answer is %q, want a 200", line)
	}
	length = -1
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\r\n"))
		head = rest
		if value, is := field(line, "content-length:"); is {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		}
		if value, is := field(line, "connection:"); is && bytes.EqualFold(value, []byte("close")) {
			return 0, errors.New("the server wants to close a connection that was to be kept")
		}
	}
	if length != x.answer {
		return 0, fmt.Errorf("the answer has Content-Length %d, want %d", length, x.answer)
	}
	return length, nil
}

// field returns the value of a header line of that name, which is in lower case
// with its colon.
func field(line []byte, name string) (value []byte, is bool) {
	if len(line) < len(name) || line[0]|0x20 != name[0] || !bytes.EqualFold(line[:len(name)], []byte(name)) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}
