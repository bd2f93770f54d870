package http_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/respond"
	"countersign.dev/internal/wire/http1"
)

// A teller answers what it was asked.
type teller struct{}

func (teller) Respond(_ context.Context, q *respond.Request) respond.Answer {
	if q.Path == "/empty" {
		return respond.Answer{Status: 202, Fields: [][2]string{{"Retry-After", "7"}}}
	}
	return respond.Answer{Status: 201, Kind: "text/x-told", Fields: [][2]string{{"X-Own", "yes"}},
		Body: fmt.Appendf(nil, "%s %s?%s %s %d %x", q.Method, q.Path, q.Query, q.Header.Get("X-Asked"), len(q.Body), q.Address.As4())}
}

func answering(s *setup) { s.own = teller{} }

// A body of the size that is allowed is read whole, however it comes, and the
// connection goes on behind it; one that is larger is refused.
func TestTheNodeAnswersItself(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			b := start(t, []string{"127.0.0.1:1"}, answering, func(s *setup) { s.http2 = version == "HTTP/2" })
			protocols := new(nethttp.Protocols)
			protocols.SetHTTP1(version == "HTTP/1.1")
			protocols.SetUnencryptedHTTP2(version == "HTTP/2")
			transport := &nethttp.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			c := &nethttp.Client{Transport: transport}
			for _, tc := range []struct {
				method string
				size   int
				known  bool // the length
				status int
			}{
				{"GET", 0, true, 201}, {"POST", 0, true, 201}, {"POST", 1, true, 201}, {"POST", 1, false, 201},
				{"POST", respond.MaxBody, true, 201}, {"POST", respond.MaxBody, false, 201},
				{"HEAD", 0, true, 201},
				{"POST", respond.MaxBody + 1, true, 413}, {"POST", respond.MaxBody + 1, false, 413}, {"POST", 200 << 10, true, 413}, // no more than is listened to behind a refusal: else it may be lost
				{"POST", 5, true, 201},
			} {
				name := fmt.Sprintf("%s of %d, known: %v", tc.method, tc.size, tc.known)
				var body io.Reader = bytes.NewReader(make([]byte, tc.size))
				if !tc.known {
					body = io.MultiReader(body)
				}
				q, err := nethttp.NewRequest(tc.method, "http://"+b.address+"/ask?a=b", body)
				if err != nil {
					t.Fatal(err)
				}
				q.Header.Set("X-Asked", "aloud")
				answer, err := c.Do(q)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				text, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				want := fmt.Sprintf("%s /ask?a=b aloud %d c0000207", tc.method, tc.size)
				if tc.method == "HEAD" {
					want = ""
				}
				if err != nil || answer.StatusCode != tc.status || tc.status == 201 && (string(text) != want || answer.Header.Get("X-Own") != "yes" || answer.Header.Get("Content-Type") != "text/x-told") {
					t.Errorf("%s: %d %v %q, %v; want %d %q", name, answer.StatusCode, answer.Header, text, err, tc.status, want)
				}
				if tc.status == 413 {
					b.ends(countersign.BodyTooLarge)
				} else if res := b.result(); res.Denial != nil || res.Status != tc.status || !res.Answered {
					t.Errorf("%s: %+v", name, res)
				}
			}
			answer, err := c.Get("http://" + b.address + "/empty")
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != 202 || answer.Header.Get("Retry-After") != "7" || answer.Header.Get("Content-Type") != "" || answer.ContentLength != 0 {
				t.Errorf("an answer without content: %d %v", answer.StatusCode, answer.Header)
			}
		})
	}
}

// RFC 9110 section 10.1.1: who expects 100 gets it before the body is read, and
// what was sent behind the body is the next request.
func TestTheNodeLetsTheClientGoOnBeforeItAnswersItself(t *testing.T) {
	b := start(t, []string{"127.0.0.1:1"}, answering)
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	io.WriteString(conn, "hello"+get)
	for _, want := range []string{"POST /? ", "GET /? "} {
		answer, err := nethttp.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != 201 || !strings.HasPrefix(string(text), want) {
			t.Errorf("%d %q, %v; want %q", answer.StatusCode, text, err, want)
		}
	}
	// Who leaves in the middle is not waited for.
	other, err := net.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	b.result()
	b.result()
	io.WriteString(other, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
	other.Close()
	b.ends(countersign.ClientClosed)
}

func TestTheNodeAnswersNothingWithoutAGrant(t *testing.T) {
	e := &http.Exchange{Request: &http1.Request{}}
	if res := e.Respond(t.Context(), &http.Terms{}); res.Denial == nil || res.Denial.Code != countersign.CredentialNotProven {
		t.Errorf("without a grant: %+v", res)
	}
}
