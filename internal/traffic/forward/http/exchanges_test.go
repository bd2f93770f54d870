package http_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	nethttp "net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// What a request says arrives, in whichever versions of HTTP it travels; so does
// what the answer says.
func TestAnyVersionToAnyVersion(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		body         io.Reader // of the request
		length       int64     // that the target is told; -1: none
		chunked      bool      // a target that speaks HTTP/1.1 gets chunks, where -1 is told over HTTP/2
		answer       func(nethttp.ResponseWriter)
		status       int
		want         string // body of the answer
		declared     int64  // Content-Length of the answer; -1: none
	}{
		{name: "GET", method: "GET", status: 200, want: "hello", declared: 5},
		{name: "HEAD", method: "HEAD", status: 200, declared: 5},
		{name: "POST with a length", method: "POST", body: strings.NewReader("abc"), length: 3, status: 200, want: "hello", declared: 5},
		{name: "POST without a length", method: "POST", body: unsized{strings.NewReader("abc")}, length: -1, status: 200, want: "hello", declared: 5},
		{name: "an empty POST", method: "POST", status: 200, want: "hello", declared: 5},
		{name: "OPTIONS", method: "OPTIONS", status: 200, want: "hello", declared: 5},
		{name: "an answer without a length", method: "GET", answer: func(w nethttp.ResponseWriter) {
			io.WriteString(w, "hel")
			w.(nethttp.Flusher).Flush()
			io.WriteString(w, "lo")
		}, status: 200, want: "hello", declared: -1},
		{name: "an empty answer", method: "GET", answer: func(w nethttp.ResponseWriter) { w.WriteHeader(200) }, status: 200},
		{name: "an empty answer that does not say so", method: "GET", answer: func(w nethttp.ResponseWriter) {
			w.(nethttp.Flusher).Flush()
		}, status: 200},
		{name: "204", method: "DELETE", answer: func(w nethttp.ResponseWriter) { w.WriteHeader(204) }, status: 204},
		{name: "304", method: "GET", answer: func(w nethttp.ResponseWriter) {
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		}, status: 304},
		{name: "404", method: "GET", answer: func(w nethttp.ResponseWriter) { nethttp.Error(w, "gone", 404) }, status: 404, want: "gone\n", declared: 5},
		{name: "a status that nobody knows", method: "GET", answer: func(w nethttp.ResponseWriter) { w.WriteHeader(299) }, status: 299},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				asked := make(chan string, 4)
				b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
					body, err := io.ReadAll(r.Body)
					asked <- fmt.Sprintf("%s %s %s %q %v %v", r.Method, r.RequestURI, r.Host, body, err, r.ContentLength)
					w.Header().Set("X-Answer", "1")
					if tt.answer != nil {
						tt.answer(w)
						return
					}
					w.Header().Set("Content-Length", "5")
					io.WriteString(w, "hello")
				})
				for range 2 {
					var sent []byte
					body := tt.body
					if s, is := body.(io.Seeker); is {
						s.Seek(0, io.SeekStart)
					}
					if u, is := body.(unsized); is {
						u.Reader.(io.Seeker).Seek(0, io.SeekStart)
					}
					if tt.body != nil {
						sent = []byte("abc")
					}
					resp, got := do(t, c, request(t, tt.method, "/path?q=1&r", body))
					if resp.StatusCode != tt.status || got != tt.want || resp.Header.Get("X-Answer") != "1" || resp.Header.Get("Date") == "" {
						t.Errorf("%s %q %v, want %d %q", resp.Status, got, resp.Header, tt.status, tt.want)
					}
					if resp.ContentLength != tt.declared && got != "" {
						t.Errorf("the length is %d, want %d", resp.ContentLength, tt.declared)
					}
					have := receive(t, asked, "the request")
					want := fmt.Sprintf("%s /path?q=1&r h %q <nil> ", tt.method, sent)
					if rest, ok := strings.CutPrefix(have, want); !ok {
						t.Errorf("the target got %s, want %s", have, want)
					} else if rest != fmt.Sprint(tt.length) && !(tt.length == -1 && rest == fmt.Sprint(len(sent))) {
						// A body that is all there has a length, though the client told none.
						t.Errorf("the target was told the length %s, want %d", rest, tt.length)
					}
					if res := b.result(); res.Denial != nil || res.Status != tt.status || res.TargetStatus != tt.status || res.Switched {
						t.Errorf("%+v", res)
					}
				}
			})
		})
	}
}

// Large bodies arrive as they were sent, both ways at once, in any versions.
func TestLargeBodiesInAnyVersion(t *testing.T) {
	body := noise(1 << 20)
	sum := sha256.Sum256(body)
	eachPair(t, func(t *testing.T, p pair) {
		b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
			got, err := io.ReadAll(r.Body)
			if err != nil || sha256.Sum256(got) != sum {
				nethttp.Error(w, fmt.Sprintf("got %d bytes, %v", len(got), err), 400)
				return
			}
			if r.ContentLength > 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			w.Write(body)
		})
		for _, reader := range []io.Reader{bytes.NewReader(body), unsized{bytes.NewReader(body)}} {
			resp, got := do(t, c, request(t, "POST", "/", reader))
			if resp.StatusCode != 200 || sha256.Sum256([]byte(got)) != sum {
				t.Fatalf("%s, %d bytes: %.100q", resp.Status, len(got), got)
			}
			if res := b.result(); res.Denial != nil {
				t.Error(res.Denial)
			}
		}
	})
}

// Trailers go both ways (RFC 9110 section 6.5), without what claims an identity.
func TestTrailersInAnyVersion(t *testing.T) {
	for _, size := range []int{0, 3, 100000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				trailers := make(chan nethttp.Header, 1)
				_, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
					n, _ := io.Copy(io.Discard, r.Body)
					if n != int64(size) {
						t.Errorf("the target got %d bytes", n)
					}
					trailers <- r.Trailer.Clone()
					w.Header().Set("Trailer", "X-Sum")
					w.(nethttp.Flusher).Flush() // else it says how long it is, and HTTP/1.1 has no trailers then
					io.CopyN(w, zeros{}, int64(size))
					w.Header().Set("X-Sum", "42")
				})
				q := request(t, "POST", "/", unsized{bytes.NewReader(make([]byte, size))})
				q.Header.Set("Te", "trailers")
				q.Trailer = nethttp.Header{"X-Up": {"1"}, "X-Amzn-Mtls-Clientcert-Subject": {"CN=forged"}, "X_amzn_mtls_clientcert_leaf": {"forged"}, "Content-Length": {"7"}}
				delete(q.Trailer, "Content-Length") // net/http does not send it
				resp, body := do(t, c, q)
				if len(body) != size || resp.Trailer.Get("X-Sum") != "42" {
					t.Errorf("%d bytes, trailers %v", len(body), resp.Trailer)
				}
				got := receive(t, trailers, "the trailers")
				delete(got, "X-Amzn-Mtls-Clientcert-Subject") // announced, not sent: see the value
				for name, values := range got {
					if name != "X-Up" && values != nil {
						t.Errorf("the target got trailers %v", got)
					}
				}
				if got.Get("X-Up") != "1" {
					t.Errorf("the target got trailers %v", got)
				}
			})
		})
	}
}

// Interim answers pass (RFC 9110 section 15.2), and a client that waits for 100
// sends its body when it comes (section 10.1.1).
func TestInterimAnswersInAnyVersion(t *testing.T) {
	for _, tt := range []struct{ name, expect, want string }{{"100", "100-continue", "100 "}, {"103", "", "103 </style.css>"}} {
		t.Run(tt.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
					if tt.name == "103" {
						w.Header().Set("Link", "</style.css>")
						w.WriteHeader(103)
						w.Header().Del("Link")
					}
					io.Copy(w, r.Body) // the server says 100
				})
				var interim []string
				q := request(t, "POST", "/", strings.NewReader("abc"))
				if tt.expect != "" {
					q.Header.Set("Expect", tt.expect)
				}
				q = q.WithContext(httptrace.WithClientTrace(q.Context(), &httptrace.ClientTrace{
					Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
						interim = append(interim, fmt.Sprint(code, " ", header.Get("Link")))
						return nil
					}}))
				c.Transport.(*nethttp.Transport).ExpectContinueTimeout = patience
				resp, body := do(t, c, q)
				if resp.StatusCode != 200 || body != "abc" || !slices.Equal(interim, []string{tt.want}) {
					t.Errorf("%s %q, before it %q", resp.Status, body, interim)
				}
				if res := b.result(); res.Denial != nil || res.TargetStatus != 200 {
					t.Errorf("%+v", res)
				}
			})
		})
	}
}

// A target may answer before it has read the body: the answer arrives whole,
// while the client still sends.
func TestAnEarlyAnswerInAnyVersion(t *testing.T) {
	for _, status := range []int{413, 401, 200} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
					nethttp.NewResponseController(w).EnableFullDuplex() // else net/http reads on first
					w.WriteHeader(status)
					io.WriteString(w, strings.Repeat("no", 1000))
				})
				body, more := io.Pipe()
				go io.WriteString(more, "a part of it")
				resp, got := do(t, c, request(t, "POST", "/", body))
				more.Close()
				if resp.StatusCode != status || len(got) != 2000 {
					t.Errorf("%s, %d bytes", resp.Status, len(got))
				}
				if res := b.result(); res.Denial != nil || res.Status != status {
					t.Errorf("%+v", res)
				}
			})
		})
	}
}
