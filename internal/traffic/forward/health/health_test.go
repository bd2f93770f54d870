package health_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/health/healthtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answering serves a connection: reads a head, writes answer, closes.
func answering(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		readHead(conn)
		io.WriteString(conn, answer)
	}
}

func readHead(conn net.Conn) string {
	var head []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); {
		if _, err := conn.Read(b); err != nil {
			break
		}
		head = append(head, b[0])
	}
	return string(head)
}

func TestHTTPConforms(t *testing.T) {
	healthtest.Run(t, health.Config{}, answering("HTTP/1.1 204 No Content\r\n\r\n"))
}

func TestTCPConforms(t *testing.T) {
	healthtest.Run(t, health.Config{Protocol: "tcp"}, func(net.Conn) {})
}

func TestHTTPAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tc := range map[string]struct {
		answer  string
		matcher string
		code    health.Code
		reason  string // "": well
	}{
		"200":                            {answer: ok + "Content-Length: 2\r\n\r\nok"},
		"chunked":                        {answer: ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
		"until close":                    {answer: ok + "\r\nok"},
		"HTTP/1.0":                       {answer: "HTTP/1.0 200 OK\r\n\r\nok"},
		"a redirect is not followed":     {answer: "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n"},
		"after interim answers":          {answer: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n"},
		"418 by matcher":                 {answer: "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n", matcher: "200-399,418"},
		"a body beyond what is read":     {answer: ok + "\r\n" + strings.Repeat("x", 200<<10)},
		"500":                            {answer: "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", code: health.ResponseCodeMismatch, reason: "Health checks failed with these codes: [500]"},
		"200 by another matcher":         {answer: ok + "Content-Length: 0\r\n\r\n", matcher: "204", code: health.ResponseCodeMismatch, reason: "Health checks failed with these codes: [200]"},
		"nothing":                        {answer: "", code: health.FailedHealthChecks, reason: "Health checks failed: the target closed the connection without an answer"},
		"only an interim answer":         {answer: "HTTP/1.1 100 Continue\r\n\r\n", code: health.FailedHealthChecks, reason: "Health checks failed: the target closed the connection without an answer"},
		"half a head":                    {answer: ok + "Content-Length: 10\r\n", code: health.FailedHealthChecks, reason: "Health checks failed: the target closed the connection in the middle of its answer"},
		"half a body":                    {answer: ok + "Content-Length: 10\r\n\r\nok", code: health.FailedHealthChecks, reason: "Health checks failed: the target closed the connection in the middle of its answer"},
		"not HTTP":                       {answer: "SSH-2.0-OpenSSH_9.2\r\n\r\n", code: health.FailedHealthChecks, reason: `Health checks failed: malformed HTTP response "SSH-2.0-OpenSSH_9.2"`},
		"an endless head":                {answer: ok + "X: " + strings.Repeat("x", 200<<10), code: health.FailedHealthChecks, reason: "Health checks failed: the head of the answer is longer than 65536 bytes"},
		"endless interim answers":        {answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 8<<10), code: health.FailedHealthChecks, reason: "Health checks failed: the head of the answer is longer than 65536 bytes"},
		"a status that is not a number":  {answer: "HTTP/1.1 2oo OK\r\n\r\n", code: health.FailedHealthChecks, reason: `Health checks failed: malformed HTTP status code "2oo"`},
		"a status beyond every matcher":  {answer: "HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", code: health.ResponseCodeMismatch, reason: "Health checks failed with these codes: [999]"},
		"garbage is quoted only in part": {answer: strings.Repeat("\x1b[31m", 1000) + "\r\n\r\n", code: health.FailedHealthChecks, reason: "Health checks failed: malformed HTTP response \"" + strings.Repeat(`\x1b[31m`, 21) + `\x1b[31...`},
	} {
		t.Run(name, func(t *testing.T) {
			checker, err := health.New(health.Config{Matcher: tc.matcher})
			if err != nil {
				t.Fatal(err)
			}
			want := health.Result{OK: tc.reason == "", Code: tc.code, Reason: tc.reason}
			if got := checker.Check(t.Context(), healthtest.Serve(t, answering(tc.answer))); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestHTTPRequest(t *testing.T) {
	heads := make(chan string, 1)
	address := healthtest.Serve(t, func(conn net.Conn) {
		heads <- readHead(conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	for host, want := range map[string]string{"": address, "api.internal": "api.internal"} {
		checker, err := health.New(health.Config{Path: "/healthz?full=1", Host: host})
		if err != nil {
			t.Fatal(err)
		}
		if r := checker.Check(t.Context(), address); !r.OK {
			t.Fatal(r)
		}
		head := fmt.Sprintf("GET /healthz?full=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: countersign-health/1\r\nAccept: */*\r\nConnection: close\r\n\r\n", want)
		if got := <-heads; got != head {
			t.Errorf("sent %q, want %q", got, head)
		}
	}
}

func TestHTTPTimesOut(t *testing.T) {
	for name, answer := range map[string]string{
		"silence":      "",
		"half a head":  "HTTP/1.1 200 OK\r\nContent-",
		"half a body":  "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
		"only interim": "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address := healthtest.Serve(t, func(conn net.Conn) {
				answering(answer)(conn)
				io.Copy(io.Discard, conn) // hangs until the checker gives up
			})
			checker, err := health.New(health.Config{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			want := health.Result{Code: health.Timeout, Reason: "Request timed out"}
			if got := checker.Check(ctx, address); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
