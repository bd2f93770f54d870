package backend

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func start(t *testing.T) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, nil) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.Close()
		goleak.VerifyNone(t)
	})
	return conn
}

func TestAnswers(t *testing.T) {
	conn := start(t)
	body := strings.Repeat("b", 200_000)
	requests := []string{
		"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 200000\r\n\r\n" + body,
		"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nX-Client: me\r\nContent-Length: 3\r\n\r\nabc",
		"GET /last HTTP/1.1\r\n\r\n",
	}
	go io.WriteString(conn, strings.Join(requests, "")) // all at once: bodies and heads share reads
	r := bufio.NewReader(conn)
	for i, want := range []int{Small, Small, Large, -1, Small} {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		got, err := io.ReadAll(res.Body)
		switch {
		case err != nil || res.StatusCode != 200:
			t.Errorf("request %d: %s, %v", i, res.Status, err)
		case want < 0 && !bytes.Contains(got, []byte("X-Client: me\r\n")):
			t.Errorf("the echo is %q", got)
		case want >= 0 && len(got) != want:
			t.Errorf("answer %d has %d bytes, want %d", i, len(got), want)
		}
	}
}

func TestAnEcho(t *testing.T) {
	conn := start(t)
	sent := append([]byte{Echo}, bytes.Repeat([]byte("e"), 200_000)...)
	go conn.Write(sent)
	back := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, back); err != nil || !bytes.Equal(back, sent) {
		t.Errorf("%d bytes came back otherwise than they were sent, %v", len(back), err)
	}
}

func TestAFramingItDoesNotKnowEndsTheConnection(t *testing.T) {
	conn := start(t)
	io.WriteString(conn, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if got, _ := io.ReadAll(conn); len(got) != 0 { // EOF, or a reset for what was not read
		t.Errorf("%q", got)
	}
}

func TestNothingIsAllocatedForARequest(t *testing.T) {
	client, server := net.Pipe()
	a := answers{small: render([]byte("x")), large: render([]byte("y"))}
	done := make(chan struct{})
	go func() { defer close(done); a.serve(server) }()
	request, answer := []byte("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), make([]byte, len(a.small))
	if n := testing.AllocsPerRun(100, func() {
		client.Write(request)
		io.ReadFull(client, answer)
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
	client.Close()
	<-done
	server.Close()
}
