package health_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/health/healthtest"
)

// overHTTP2 serves a connection by HTTP/2 with prior knowledge.
func overHTTP2(serve http.HandlerFunc) func(net.Conn) {
	return func(conn net.Conn) {
		(&xhttp2.Server{}).ServeConn(conn, &xhttp2.ServeConnOpts{Handler: serve, BaseConfig: &http.Server{ErrorLog: log.New(io.Discard, "", 0)}})
	}
}

func TestHTTP2Conforms(t *testing.T) {
	healthtest.Run(t, health.Config{HTTP2: true}, overHTTP2(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
}

func TestGRPCConforms(t *testing.T) {
	healthtest.Run(t, health.Config{Protocol: "grpc"}, overHTTP2(rpc{content: message("\x08\x01"), status: "0"}.serve))
}

func TestHTTP2Answers(t *testing.T) {
	const failed, mismatch = health.FailedHealthChecks, health.ResponseCodeMismatch
	for name, tc := range map[string]struct {
		serve   http.HandlerFunc
		matcher string
		code    health.Code
		reason  string // "": well
	}{
		"200":                        {serve: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }},
		"a redirect is not followed": {serve: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://192.0.2.1/", 302) }},
		"after interim answers": {serve: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(103)
			w.WriteHeader(200)
		}},
		"418 by matcher":             {serve: status(418), matcher: "200-399,418"},
		"a body beyond what is read": {serve: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 1<<20)) }},
		"500":                        {serve: status(500), code: mismatch, reason: "Health checks failed with these codes: [500]"},
		"200 by another matcher":     {serve: status(200), matcher: "204", code: mismatch, reason: "Health checks failed with these codes: [200]"},
		"half a body": {serve: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "ok")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, code: failed, reason: "Health checks failed: the HTTP/2 peer reset the stream with INTERNAL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			checker, err := health.New(health.Config{HTTP2: true, Matcher: tc.matcher})
			if err != nil {
				t.Fatal(err)
			}
			want := health.Result{OK: tc.reason == "", Code: tc.code, Reason: tc.reason}
			if got := checker.Check(t.Context(), healthtest.Serve(t, overHTTP2(tc.serve))); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// A target that never comes to the point is given up, by us or by HTTP/2's own limits.
func TestHTTP2EndlessInterimAnswers(t *testing.T) {
	for name, pause := range map[string]time.Duration{"at once": 0, "one by one": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			address := healthtest.Serve(t, overHTTP2(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X", strings.Repeat("x", 8<<10))
				for r.Context().Err() == nil {
					w.WriteHeader(103)
					time.Sleep(pause)
				}
			}))
			checker, err := health.New(health.Config{HTTP2: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := checker.Check(t.Context(), address); got.Code != health.FailedHealthChecks ||
				!strings.HasSuffix(got.Reason, "the head of the answer is longer than 65536 bytes") && !strings.HasSuffix(got.Reason, "too many interim responses") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// What is no HTTP/2 is said to be so.
func TestHTTP2OfATargetThatDoesNotSpeakIt(t *testing.T) {
	for name, tc := range map[string]struct {
		serve  func(net.Conn)
		reason string // its beginning
	}{
		"HTTP/1.1": {answering("HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n"),
			"Health checks failed: the target does not speak HTTP/2 with prior knowledge: "},
		"SSH":     {answering("SSH-2.0-OpenSSH_9.2\r\n"), "Health checks failed: the target does not speak HTTP/2 with prior knowledge: "},
		"nothing": {func(conn net.Conn) { readHead(conn) }, "Health checks failed: the target closed the connection without an answer"},
	} {
		for _, c := range []health.Config{{HTTP2: true}, {Protocol: "grpc"}} {
			t.Run(name+" "+c.Protocol, func(t *testing.T) {
				checker, err := health.New(c)
				if err != nil {
					t.Fatal(err)
				}
				// It reads what we send: else the end may overtake the answer.
				address := healthtest.Serve(t, func(conn net.Conn) {
					tc.serve(conn)
					conn.(*net.TCPConn).CloseWrite()
					io.Copy(io.Discard, conn)
				})
				if got := checker.Check(t.Context(), address); got.OK || got.Code != health.FailedHealthChecks || !strings.HasPrefix(got.Reason, tc.reason) {
					t.Errorf("got  %+v\nwant %q", got, tc.reason)
				}
			})
		}
	}
}

func TestHTTP2Request(t *testing.T) {
	requests := make(chan string, 1)
	address := healthtest.Serve(t, overHTTP2(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		requests <- fmt.Sprintf("%s %s %s %s %v %q %v", r.Method, r.Host, r.RequestURI, r.Proto, r.Header, body, err)
	}))
	for want, c := range map[string]health.Config{
		"GET " + address + " /healthz?full=1 HTTP/2.0 map[Accept:[*/*] User-Agent:[countersign-health/1]] \"\" <nil>": {HTTP2: true, Path: "/healthz?full=1"},
		"GET api.internal / HTTP/2.0 map[Accept:[*/*] User-Agent:[countersign-health/1]] \"\" <nil>":                  {HTTP2: true, Host: "api.internal"},
		"POST " + address + " /grpc.health.v1.Health/Check HTTP/2.0 map[Content-Type:[application/grpc] Te:[trailers] User-Agent:[countersign-health/1]] \"\\x00\\x00\\x00\\x00\\x00\" <nil>": {
			Protocol: "grpc"},
		"POST api.internal /AWS.ALB/healthcheck HTTP/2.0 map[Content-Type:[application/grpc] Te:[trailers] User-Agent:[countersign-health/1]] \"\\x00\\x00\\x00\\x00\\x00\" <nil>": {
			Protocol: "grpc", Path: "/AWS.ALB/healthcheck", Host: "api.internal"},
	} {
		checker, err := health.New(c)
		if err != nil {
			t.Fatal(err)
		}
		checker.Check(t.Context(), address)
		if got := <-requests; got != want {
			t.Errorf("sent %s\nwant %s", got, want)
		}
	}
}

func TestHTTP2TimesOut(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, serve := range map[string]func(net.Conn){
		"not a frame": func(conn net.Conn) { io.Copy(io.Discard, conn) },
		"no head":     overHTTP2(hang),
		"half a body": overHTTP2(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "ok")
			w.(http.Flusher).Flush()
			hang(w, r)
		}),
	} {
		for _, c := range []health.Config{{HTTP2: true}, {Protocol: "grpc"}} {
			t.Run(name+" "+c.Protocol, func(t *testing.T) {
				checker, err := health.New(c)
				if err != nil {
					t.Fatal(err)
				}
				address := healthtest.Serve(t, serve)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				want := health.Result{Code: health.Timeout, Reason: "Request timed out"}
				if got := checker.Check(ctx, address); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
}

// An rpc is how a target answers a call.
type rpc struct {
	http        int    // the HTTP status; 0: 200
	contentType string // "": application/grpc
	content     string
	status      string // grpc-status in the trailer
	only        bool   // there is no content, and the trailer is the head
}

func (a rpc) serve(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if a.contentType == "" {
		a.contentType = "application/grpc"
	}
	w.Header().Set("Content-Type", a.contentType)
	if a.status != "" && a.only {
		w.Header().Set("Grpc-Status", a.status)
	}
	if a.http != 0 {
		w.WriteHeader(a.http)
	}
	if !a.only {
		io.WriteString(w, a.content)
		w.(http.Flusher).Flush()
		if a.status != "" {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", a.status)
		}
	}
}

// message frames m as gRPC does.
func message(m string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m)))) + m
}

func TestGRPCAnswers(t *testing.T) {
	const failed, mismatch = health.FailedHealthChecks, health.ResponseCodeMismatch
	alb := health.Config{Path: "/AWS.ALB/healthcheck", Matcher: "12"}
	for name, tc := range map[string]struct {
		rpc    rpc
		c      health.Config
		code   health.Code
		reason string // "": well
	}{
		"serving":                      {rpc: rpc{content: message("\x08\x01"), status: "0"}},
		"serving as +proto":            {rpc: rpc{contentType: "application/grpc+proto", content: message("\x08\x01"), status: "0"}},
		"serving among other fields":   {rpc: rpc{content: message("\x12\x02hi\x19\x00\x00\x00\x00\x00\x00\x00\x00\x25\x00\x00\x00\x00\x08\x01\x30\x05"), status: "0"}},
		"unimplemented as AWS has it":  {rpc: rpc{status: "12", only: true}, c: alb},
		"OK of another method":         {rpc: rpc{content: message("whatever"), status: "0"}, c: health.Config{Path: "/a.B/c"}},
		"a code that is well":          {rpc: rpc{status: "5", only: true}, c: health.Config{Matcher: "0,5"}},
		"not serving":                  {rpc: rpc{content: message("\x08\x02"), status: "0"}, code: mismatch, reason: "Health checks failed: the target says NOT_SERVING"},
		"not serving by silence":       {rpc: rpc{content: message(""), status: "0"}, code: mismatch, reason: "Health checks failed: the target says UNKNOWN"},
		"a state of the future":        {rpc: rpc{content: message("\x08\x63"), status: "0"}, code: mismatch, reason: "Health checks failed: the target says serving status 99"},
		"no such service":              {rpc: rpc{status: "12", only: true}, code: mismatch, reason: "Health checks failed with these codes: [12]"},
		"unavailable behind a message": {rpc: rpc{content: message("\x08\x01"), status: "14"}, code: mismatch, reason: "Health checks failed with these codes: [14]"},
		"OK by another matcher":        {rpc: rpc{status: "0", only: true}, c: alb, code: mismatch, reason: "Health checks failed with these codes: [0]"},
		"no message":                   {rpc: rpc{status: "0", only: true}, code: failed, reason: "Health checks failed: the answer is not one gRPC message of at most 4091 bytes"},
		"half a message":               {rpc: rpc{content: message("\x08\x01")[:6], status: "0"}, code: failed, reason: "Health checks failed: the answer is not one gRPC message of at most 4091 bytes"},
		"two messages":                 {rpc: rpc{content: message("\x08\x01") + message("\x08\x01"), status: "0"}, code: failed, reason: "Health checks failed: the answer is not one gRPC message of at most 4091 bytes"},
		"compressed":                   {rpc: rpc{content: "\x01\x00\x00\x00\x02\x08\x01", status: "0"}, code: failed, reason: "Health checks failed: the answer is compressed, which was not offered"},
		"another message":              {rpc: rpc{content: message("hello"), status: "0"}, code: failed, reason: "Health checks failed: the message in the answer is no HealthCheckResponse"},
		"an endless answer":            {rpc: rpc{content: message(strings.Repeat("x", 1<<20)), status: "0"}, code: failed, reason: "Health checks failed: the answer is longer than 65536 bytes"},
		"no status":                    {rpc: rpc{content: message("\x08\x01")}, code: failed, reason: "Health checks failed: the answer has no grpc-status"},
		"no number":                    {rpc: rpc{status: "OK", only: true}, code: failed, reason: `Health checks failed: the grpc-status is "OK", not a number`},
		"a code beyond every matcher":  {rpc: rpc{status: "1000", only: true}, code: mismatch, reason: "Health checks failed with these codes: [1000]"},
		"gRPC-Web":                     {rpc: rpc{contentType: "application/grpc-web", content: message("\x08\x01"), status: "0"}, code: failed, reason: `Health checks failed: the answer is not gRPC, its content-type is "application/grpc-web"`},
		"a web page":                   {rpc: rpc{contentType: "text/html", content: "<html>", http: 200}, code: failed, reason: `Health checks failed: the answer is not gRPC, its content-type is "text/html"`},
		"a page that is missing":       {rpc: rpc{contentType: "text/html", content: "<html>", http: 404}, code: mismatch, reason: "Health checks failed: the answer has HTTP status 404 and no grpc-status"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.c.Protocol = "grpc"
			checker, err := health.New(tc.c)
			if err != nil {
				t.Fatal(err)
			}
			want := health.Result{OK: tc.reason == "", Code: tc.code, Reason: tc.reason}
			if got := checker.Check(t.Context(), healthtest.Serve(t, overHTTP2(tc.rpc.serve))); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
