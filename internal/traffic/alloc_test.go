package traffic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/testpki"
)

// A keep-alive request allocates nothing on its way through the whole pipeline:
// parse, still accepted, route, authorize, identity, forward, log.
func TestARequestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	for name, logs := range map[string]string{
		"logs off":  "logs: {}",
		"logs json": "logs: {connection: {path: connection.log, format: json}, access: {path: access.log, format: json}}",
		"logs aws":  "logs: {connection: {path: connection.log}, access: {path: access.log}}",
	} {
		config := with(httpConfig, `logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`, logs)
		t.Run(name, func(t *testing.T) {
			r := startBefore(t, frugal(t), config)
			noAllocations(t, r.plain("127.0.0.1:0").conn)
		})
	}
}

// Under TLS the same holds for what is ours: the client is verified, its identity
// told, another policy looked up, a list consulted. crypto/tls allocates for
// records, with a client as with a server; a bare server tells how much.
func TestARequestOfAVerifiedClientAllocatesNothingOfOurs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	r := start(t, fleetConfig)
	device := r.root.Client("MacID-1")
	r.revoke(1, r.root.Client("MacID-2"))
	r.backend = frugal(t)
	r.publish(with(withLists, "identity_headers: [aws]", "identity_headers: [aws, token]", "client_auth: {mode: verify, trust_store: fleet}", `client_auth: {mode: verify, trust_store: fleet}
    server_names: [{names: [ops.example.com], client_auth: {mode: off}}]`,
		`logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`,
		"logs: {connection: {path: connection.log, format: json}, access: {path: access.log, format: json}}"))
	bare := allocations(t, bareTLS(t, r, device))
	if n := allocations(t, r.dial(device).conn); n > bare {
		t.Errorf("%v allocations per request, a bare TLS server has %v", n, bare)
	}
}

// A request over HTTP/2 allocates a dozen times at most beside what TLS does for
// one: a string for each field that came in Huffman's code, of which there are
// four here (hpack.Decoder), two more records of TLS, the stream's own state.
func TestARequestOverHTTP2AllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and lets pools forget")
	}
	const most = 12
	r := startBefore(t, frugal(t), with(fleetConfig,
		`logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}`,
		"logs: {connection: {path: connection.log, format: json}, access: {path: access.log, format: json}}"))
	device := r.root.Client("MacID-1")
	bare := allocations(t, bareTLS(t, r, device))
	c := r.dial2(device)
	request, buf := frugalFrames(t, c), make([]byte, 16<<10)
	exchange := func() {
		binary.BigEndian.PutUint32(request[5:], c.next)
		c.next += 2
		if _, err := c.conn.Write(request); err != nil {
			t.Fatal(err)
		}
		for n, ended := 0, false; !ended; {
			m, err := c.conn.Read(buf[n:])
			if n += m; err != nil {
				t.Fatal(err)
			}
			for n >= 9 {
				length := 9 + int(binary.BigEndian.Uint16(buf[1:]))
				if n < length {
					break
				}
				ended = buf[3] == byte(h2.FrameData) && buf[4]&byte(h2.FlagDataEndStream) != 0
				n = copy(buf, buf[length:n])
			}
		}
	}
	for range 3000 {
		exchange()
	}
	if n := testing.AllocsPerRun(2000, exchange); n > bare+most {
		t.Errorf("%v allocations per request, of which TLS has %v; want no more than %d beside", n, bare, most)
	} else {
		t.Logf("%v allocations per request, of which TLS has %v", n, bare)
	}
}

// frugalFrames is frugalRequest as a HEADERS frame, which no table is needed for.
func frugalFrames(t *testing.T, c *client2) []byte {
	t.Helper()
	var frames, block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0)
	for _, fl := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/x?y=1"},
		{"user-agent", "test"}, {"accept", "*/*"}, {"referer", "/from"}, {"x-forwarded-for", "10.0.0.1"}} {
		enc.WriteField(hpack.HeaderField{Name: fl[0], Value: fl[1]})
	}
	err := h2.NewFramer(&frames, nil).WriteHeaders(h2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	return frames.Bytes()
}

const (
	frugalRequest = "GET /x?y=1 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\nReferer: /from\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
	frugalAnswer  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"
)

// answer answers every read without allocating.
func answer(conn net.Conn) {
	buf, answer := make([]byte, 8<<10), []byte(frugalAnswer)
	for {
		if _, err := conn.Read(buf); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// frugal is a backend that does not allocate.
func frugal(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ended, func() { conn.Close() })
			running.Go(func() { defer stop(); defer conn.Close(); answer(conn) })
		}
	})
	t.Cleanup(func() { end(); ln.Close(); running.Wait() })
	return ln.Addr().String()
}

// bareTLS is a connection to a TLS server with nothing behind it.
func bareTLS(t testing.TB, r *rig, device *testpki.Certificate) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		answer(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{r.server.TLS()}, ClientAuth: tls.RequestClientCert}))
	}()
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: r.server.Issuer.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{device.TLS()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); <-done })
	return conn
}

func noAllocations(t *testing.T, conn net.Conn, more ...string) {
	t.Helper()
	if n := allocations(t, conn, more...); n > 0 {
		t.Errorf("%v allocations per request, want none", n)
	}
}

// allocations is how many a request on conn, with further header lines, causes in
// the whole process.
func allocations(t *testing.T, conn net.Conn, more ...string) float64 {
	t.Helper()
	head, _ := strings.CutSuffix(frugalRequest, "\r\n")
	request, buf := []byte(head+strings.Join(append(more, ""), "\r\n")+"\r\n"), make([]byte, 1024)
	exchange := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(buf[:n], []byte("\r\n\r\nok")); {
			m, err := conn.Read(buf[n:])
			if n += m; err != nil {
				t.Fatalf("after %q: %v", buf[:n], io.ErrUnexpectedEOF)
			}
		}
	}
	for range 3000 { // buffers and pools reach their size: as many events as a log keeps waiting
		exchange()
	}
	return testing.AllocsPerRun(2000, exchange)
}
