package http_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/upstream"
)

// RFC 9110 section 15.6.3: an answer that is none, and one that does not come.
func TestBadGateways(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		code         countersign.Code
	}{
		{"nothing", "", countersign.TargetClosed},
		{"garbage", "\x15\x03\x01\x00\x02\x02\x46", countersign.TargetBadResponse},
		{"an answer of HTTP/0.9", "<html>hello</html>", countersign.TargetBadResponse},
		{"HTTP/2", "\x00\x00\x12\x04\x00\x00\x00\x00\x00", countersign.TargetBadResponse},
		{"a version we do not speak", lines("HTTP/1.2 200 OK", "Content-Length: 0"), countersign.TargetBadResponse},
		{"no status", lines("HTTP/1.1 OK", "Content-Length: 0"), countersign.TargetBadResponse},
		{"status 99", lines("HTTP/1.1 099 OK", "Content-Length: 0"), countersign.TargetBadResponse},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", countersign.TargetBadResponse},
		{"half a head behind an interim answer", lines("HTTP/1.1 103 Early Hints") + "HTTP/1.1 2", countersign.TargetBadResponse},
		{"only an interim answer", lines("HTTP/1.1 103 Early Hints"), countersign.TargetClosed},
		{"too large a head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 40) + "\r\n", countersign.TargetBadResponse},
		{"too large a field", lines("HTTP/1.1 200 OK", "X: "+strings.Repeat("a", 33<<10)), countersign.TargetBadResponse},
		{"a head without an end", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a", 40<<10), countersign.TargetBadResponse},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", countersign.TargetBadResponse},
		{"folded", lines("HTTP/1.1 200 OK", "X: a", " b", "Content-Length: 0"), countersign.TargetBadResponse},
		{"space before a colon", lines("HTTP/1.1 200 OK", "Content-Length : 0"), countersign.TargetBadResponse},
		{"NUL", lines("HTTP/1.1 200 OK", "X: a\x00b", "Content-Length: 0"), countersign.TargetBadResponse},
		{"Content-Length and chunked", lines("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked") + "0\r\n\r\n", countersign.TargetBadResponse},
		{"two Content-Lengths", lines("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3") + "abc", countersign.TargetBadResponse},
		{"a negative Content-Length", lines("HTTP/1.1 200 OK", "Content-Length: -1"), countersign.TargetBadResponse},
		{"gzip, chunked", lines("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked") + "0\r\n\r\n", countersign.TargetBadResponse},
		{"chunked from 1.0", lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked") + "0\r\n\r\n", countersign.TargetBadResponse},
		{"an interim answer with a body", lines("HTTP/1.1 100 Continue", "Content-Length: 2") + "ab", countersign.TargetBadResponse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, []string{target(t, func(conn net.Conn) {
				readHead(bufio.NewReader(conn))
				io.WriteString(conn, tt.answer)
			})})
			c := b.dial()
			resp, body := c.exchange(lines("GET / HTTP/1.1", "Host: h"))
			if resp.StatusCode == 103 {
				resp, body = c.read("GET")
			}
			if resp.StatusCode != 502 || resp.Close || strings.Contains(body, "127.0.0.1") {
				t.Errorf("%s, close: %t, %q", resp.Status, resp.Close, body)
			}
			if res := b.ends(tt.code); res.Status != 502 || res.TargetStatus != 0 {
				t.Errorf("%+v", res)
			}
			if c.write(get); !strings.Contains(tt.answer, " 103 ") { // the client's connection goes on
				c.read("GET")
				c.ended()
			}
		})
	}
}

// dead is a target whose first connection dies when the second request arrives
// on it, as one does that the target has just closed; how is what it does then.
// Later connections answer each request.
func dead(t *testing.T, how func(net.Conn)) (address string, got chan heard) {
	got = make(chan heard, 16)
	var conns atomic.Int64
	return target(t, func(conn net.Conn) {
		number := int(conns.Add(1))
		r := bufio.NewReader(conn)
		for n := 1; ; n++ {
			h, err := readRequest(r)
			if err != nil {
				return
			}
			h.conn = number
			got <- h
			if number == 1 && n == 2 {
				how(conn)
				return
			}
			io.WriteString(conn, ok)
		}
	}), got
}

// RFC 9112 section 9.3.1 and RFC 9110 section 9.2.2: a request that may be
// repeated is sent once more, over a new connection, when a connection that had
// been idle died before the first byte of the answer; any other is not.
func TestWhatIsSentAgain(t *testing.T) {
	large := strings.Repeat("x", 100<<10)
	closed := func(net.Conn) {}
	reset := func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) }
	says := func(s string) func(net.Conn) { return func(conn net.Conn) { io.WriteString(conn, s) } }
	for _, tt := range []struct {
		name, request string
		how           func(net.Conn)
		again         bool
	}{
		{"GET", lines("GET /2 HTTP/1.1", "Host: h"), closed, true},
		{"GET, reset", lines("GET /2 HTTP/1.1", "Host: h"), reset, true},
		{"OPTIONS", lines("OPTIONS /2 HTTP/1.1", "Host: h"), closed, true},
		{"DELETE", lines("DELETE /2 HTTP/1.1", "Host: h"), closed, true},
		{"PUT with its body", lines("PUT /2 HTTP/1.1", "Host: h", "Content-Length: 3") + "abc", closed, true},
		{"PUT with chunks", lines("PUT /2 HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", closed, true},
		{"PUT of which a part is gone", lines("PUT /2 HTTP/1.1", "Host: h", fmt.Sprintf("Content-Length: %d", len(large))) + large, closed, false},
		{"POST", lines("POST /2 HTTP/1.1", "Host: h", "Content-Length: 3") + "abc", closed, false},
		{"POST without a body", lines("POST /2 HTTP/1.1", "Host: h"), closed, false},
		{"PATCH", lines("PATCH /2 HTTP/1.1", "Host: h", "Content-Length: 3") + "abc", reset, false},
		{"an unknown method", lines("FROB /2 HTTP/1.1", "Host: h"), closed, false},
		{"GET, a byte of an answer", lines("GET /2 HTTP/1.1", "Host: h"), says("H"), false},
		{"GET, an interim answer", lines("GET /2 HTTP/1.1", "Host: h"), says(lines("HTTP/1.1 103 Early Hints")), false},
		{"GET, half a body", lines("GET /2 HTTP/1.1", "Host: h"), says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := dead(t, tt.how)
			b := start(t, []string{address})
			c := b.dial()
			c.exchange(lines("GET /1 HTTP/1.1", "Host: h"))
			b.result()
			c.write(tt.request)
			res := b.result()
			if tt.again != (res.Denial == nil) {
				t.Errorf("ended with %v", res.Denial)
			}
			var conns []int
			for len(got) > 0 {
				if h := <-got; strings.Contains(h.line(), " /2 ") {
					conns = append(conns, h.conn)
				}
			}
			want := []int{1}
			if tt.again {
				want = []int{1, 2}
			}
			if !slices.Equal(conns, want) {
				t.Errorf("sent over connections %v, want %v", conns, want)
			}
		})
	}
}

// A target that kills every connection is asked twice at most.
func TestARequestIsSentAgainOnlyOnce(t *testing.T) {
	var conns, requests atomic.Int64
	b := start(t, []string{target(t, func(conn net.Conn) {
		first := conns.Add(1) == 1
		r := bufio.NewReader(conn)
		readHead(r)
		if first {
			io.WriteString(conn, ok)
			readHead(r)
		}
		requests.Add(1)
	})})
	c := b.dial()
	c.exchange(lines("GET / HTTP/1.1", "Host: h"))
	if resp, _ := c.exchange(get); resp.StatusCode != 502 {
		t.Errorf("%s", resp.Status)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("sent %d times, want twice", n)
	}
}

// nobody returns an address at which connections are refused.
func nobody(t *testing.T) string {
	ln := listen(t)
	defer ln.Close()
	return ln.Addr().String()
}

// Where no byte was sent another target may be tried, whatever the method, with
// all that was read of the body; as many as the group allows.
func TestAConnectionRefusedIsAnotherTargetsRequest(t *testing.T) {
	for _, tt := range []struct {
		name     string
		attempts int
		targets  int // of which the last one listens
		served   bool
	}{
		{"the second serves", 2, 2, true},
		{"the fourth serves", 4, 4, true},
		{"one attempt", 1, 2, false},
		{"too few attempts", 3, 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			targets := []string{}
			for range tt.targets - 1 {
				targets = append(targets, nobody(t))
			}
			b := start(t, append(targets, address), func(s *setup) { s.group.Attempts = tt.attempts })
			c := b.dial()
			body := strings.Repeat("x", 50<<10)
			c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			front := <-b.fronts
			resp, _ := c.read("POST")
			res := b.result()
			if tt.served {
				if h := receive(t, got, "the request"); resp.StatusCode != 200 || h.body != body || res.Target.Address() != address {
					t.Errorf("%s, %d bytes of the body, target %s", resp.Status, len(h.body), res.Target.Address())
				}
				return
			}
			if resp.StatusCode != 502 || res.Denial.Code != countersign.TargetConnectFailed || !resp.Close || !res.Unread {
				t.Errorf("%s, close: %t, %+v", resp.Status, resp.Close, res)
			}
			if n := len(front.Tried()); n != tt.attempts {
				t.Errorf("%d targets were tried, want %d", n, tt.attempts)
			}
			none(t, got, "a target too many")
		})
	}
}

// A group without a target, and one none of whose targets is left.
func TestAGroupWithoutATarget(t *testing.T) {
	b := start(t, nil)
	c := b.dial()
	if resp, _ := c.exchange(lines("GET / HTTP/1.1", "Host: h")); resp.StatusCode != 503 || resp.Close {
		t.Errorf("%s, close: %t", resp.Status, resp.Close)
	}
	if res := b.ends(countersign.NoHealthyTarget); res.Target != nil {
		t.Errorf("%+v", res)
	}
}

// The body that a failed exchange did not read is never the next request. The
// first write to a dead connection fails at once: its second one, from the
// target's point of view.
func TestWhatIsLeftOfABodyIsNoRequest(t *testing.T) {
	inner := lines("GET /smuggled HTTP/1.1", "Host: h")
	for name, targets := range map[string]func(t *testing.T) []string{
		"no target":          func(*testing.T) []string { return nil },
		"connection refused": func(t *testing.T) []string { return []string{nobody(t)} },
		"closed at once":     func(t *testing.T) []string { return []string{target(t, func(net.Conn) {})} },
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, targets(t))
			c := b.dial()
			c.write(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", 2*len(inner)))
			resp, _ := c.read("POST")
			c.write(inner + inner)
			if resp.StatusCode < 500 || !resp.Close {
				t.Errorf("%s, close: %t", resp.Status, resp.Close)
			}
			c.rest()
			b.result()
			none(t, b.results, "another request")
		})
	}
}

// House decision 2: without a grant nothing is forwarded, nothing even dialed.
func TestNothingIsForwardedWithoutAGrant(t *testing.T) {
	var contacts atomic.Int64
	address := target(t, func(net.Conn) { contacts.Add(1) })
	b := start(t, []string{address})
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		here.SetDeadline(time.Now().Add(patience))
		io.WriteString(here, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
	}()
	f := http.NewFront(piped{there}, b.client, true)
	if ok, denial := f.Next(&b.set); !ok || denial != nil {
		t.Fatal(ok, denial)
	}
	res := f.Forward(&http.Terms{Identity: []byte(identity)})
	if res.Denial == nil || res.Denial.Code != countersign.CredentialNotProven || http.Status(res.Denial.Code) != 500 || !res.Unread || res.KeepAlive {
		t.Errorf("%+v", res)
	}
	there.Close()
	if n := contacts.Load(); n != 0 || res.Target != nil {
		t.Errorf("%d contacts, target %v", n, res.Target)
	}
}

type piped struct{ net.Conn }

func (p piped) CloseWrite() error { return p.Close() }

// Two exchanges at once never share a connection to a target.
func TestConnectionsToTargetsAreNotShared(t *testing.T) {
	address := server(t, echoPath)
	b := start(t, []string{address}, func(s *setup) { s.group = upstream.GroupConfig{Name: "test", Targets: s.group.Targets} })
	var all sync.WaitGroup
	for i := range 8 {
		c := b.dial()
		all.Go(func() {
			for j := range 50 {
				path := fmt.Sprintf("/%d/%d", i, j)
				if _, body := c.exchange(lines("GET "+path+" HTTP/1.1", "Host: h")); body != path {
					t.Errorf("asked for %s, got %s", path, body)
					return
				}
			}
		})
	}
	all.Wait()
}
