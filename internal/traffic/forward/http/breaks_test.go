package http_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
)

// A target that dies, or says what is no HTTP, before its answer: 502. Within the
// answer: what the client has of it does not look whole. Over HTTP/2 that is a
// reset, never the end of the stream (RFC 9113 section 8.1).
func TestATargetThatBreaksOffInAnyVersion(t *testing.T) {
	for _, tt := range []struct {
		name   string
		http1  string // what the target says before it closes
		http2  func(*peer)
		status int
		body   string
		code   countersign.Code
	}{
		{"before a word", "", func(*peer) {}, 502, "", countersign.TargetClosed},
		{"with a reset before a word", "", func(p *peer) { p.reset(1, h2.ErrCodeInternal); p.next() }, 502, "", countersign.TargetClosed},
		{"with nonsense", "HTTP/1.1 2xx OK\r\n\r\n", func(p *peer) { p.head(1, true, ":status", "2xx"); p.next() }, 502, "", countersign.TargetBadResponse},
		{"with an answer to nothing", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			func(p *peer) { p.head(1, false, ":status", "101"); p.next() }, 502, "", countersign.TargetBadResponse},
		{"with a head that is too large", lines("HTTP/1.1 200 OK", "X: "+strings.Repeat("x", 40<<10)),
			func(p *peer) {
				fields := []string{":status", "200"}
				for range 8 { // Huffman makes 5 bits of an x, and of a 0
					fields = append(fields, "x", strings.Repeat("0", 5<<10))
				}
				p.head(1, true, fields...)
				p.next()
			}, 502, "", countersign.TargetBadResponse},
		{"in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", func(p *peer) {
			p.head(1, false, ":status", "200", "content-length", "5")
			p.data(1, false, "abc")
		}, 200, "abc", countersign.TargetClosed},
		{"in a body of unknown length", lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + "3\r\nabc\r\n", func(p *peer) {
			p.head(1, false, ":status", "200")
			p.data(1, false, "abc")
		}, 200, "abc", countersign.TargetClosed},
		{"with a reset in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", func(p *peer) {
			p.head(1, false, ":status", "200")
			p.data(1, false, "abc")
			p.reset(1, h2.ErrCodeInternal)
			p.next()
		}, 200, "abc", countersign.TargetClosed},
		{"with a body that is too short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", func(p *peer) {
			p.head(1, false, ":status", "200", "content-length", "5")
			p.data(1, true, "abc")
			p.next()
		}, 200, "abc", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, p pair) {
				address := ""
				if p.target == v1 {
					address = target(t, func(conn net.Conn) {
						readHead(bufio.NewReader(conn))
						io.WriteString(conn, tt.http1)
					})
				} else {
					address = target2(t, func(p *peer) {
						p.next()
						tt.http2(p)
					})
				}
				b := start(t, []string{address}, p.setup)
				a := b.ask(p.client)
				if a.status != tt.status || tt.status == 200 && !strings.HasPrefix(tt.body, a.body) {
					t.Errorf("%+v, want %d %q", a, tt.status, tt.body)
				}
				if (a.err != nil) != (tt.status == 200) {
					t.Errorf("the answer ended with %v", a.err)
				}
				if p.client == v2 && tt.status == 200 {
					if e, is := errors.AsType[h2.StreamError](a.err); !is || e.Code != h2.ErrCodeInternal {
						t.Errorf("the answer ended with %v, want a reset", a.err)
					}
				}
				res := b.result()
				code := tt.code
				if code == "" { // over HTTP/2 there is no need to close
					code = map[string]countersign.Code{v1: countersign.TargetClosed, v2: countersign.TargetBadResponse}[p.target]
				}
				if res.Denial == nil || res.Denial.Code != code || res.Status != tt.status {
					t.Errorf("%+v, want %s", res, code)
				}
			})
		})
	}
}

// A client that goes away in the middle: the target is told, by a reset or the
// end of its connection, and it is put down to the client.
func TestAClientThatBreaksOffInAnyVersion(t *testing.T) {
	leave := map[string]func(*testing.T, *client, *peer){
		"reset": func(t *testing.T, c *client, p *peer) {
			if p != nil {
				p.reset(1, h2.ErrCodeCancel)
				return
			}
			c.tcp().SetLinger(0)
			c.Close()
		},
		"close": func(t *testing.T, c *client, p *peer) {
			if p != nil {
				p.Close()
				return
			}
			c.Close()
		},
	}
	for _, where := range []string{"in the upload", "waiting", "in the download"} {
		for how, leave := range leave {
			t.Run(where+" by "+how, func(t *testing.T) {
				eachPair(t, func(t *testing.T, p pair) {
					if where == "waiting" && p.client == v1 {
						t.Skip("who waits for an answer over HTTP/1.1 is not listened to")
					}
					ready, told := make(chan bool, 1), make(chan string, 1)
					b := start(t, []string{breakable(t, p.target, where, ready, told)}, p.setup)
					var c *client
					var p2 *peer
					if p.client == v1 {
						c = b.dial()
						if where == "in the upload" {
							c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc")
						} else {
							c.write(get)
						}
					} else {
						p2 = b.dial2()
						if where == "in the upload" {
							p2.head(1, false, append(post2, "content-length", "5")...)
							p2.data(1, false, "abc")
						} else {
							p2.head(1, true, get2...)
						}
					}
					receive(t, ready, "the request")
					switch {
					case where != "in the download":
					case p2 != nil:
						p2.await(t, h2.FrameData)
					default:
						c.head()
					}
					leave(t, c, p2)
					want := "closed"
					if p.target == v2 {
						want = "CANCEL"
					}
					if got := receive(t, told, "word of it at the target"); got != want {
						t.Errorf("the target was told %q, want %q", got, want)
					}
					res := b.ends(countersign.ClientClosed)
					if where != "in the download" && (res.Status != 460 || res.Answered) || where == "in the download" && res.Status != 200 {
						t.Errorf("%+v", res)
					}
				})
			})
		}
	}
}

// breakable is a target that tells how the exchange ends for it.
func breakable(t *testing.T, version, where string, ready chan<- bool, told chan<- string) string {
	if version == v1 {
		return target(t, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			readHead(r)
			if where == "in the upload" {
				io.ReadFull(r, make([]byte, 3))
			}
			ready <- true
			if where == "in the download" {
				io.WriteString(conn, lines("HTTP/1.1 200 OK", "Content-Length: 1000000000"))
				io.CopyN(conn, zeros{}, 1000000000)
			} else if n, _ := io.Copy(io.Discard, r); n > 0 {
				told <- fmt.Sprint(n, " bytes more")
			}
			told <- "closed"
		})
	}
	return target2(t, func(p *peer) {
		p.next()
		if where == "in the upload" {
			p.next()
		}
		ready <- true
		over := make(chan bool)
		var sending sync.WaitGroup
		if where == "in the download" {
			p.head(1, false, ":status", "200")
			sending.Go(func() { // it goes on, for HTTP/1.1 shows when it is written to
				for {
					p.data(1, false, "x")
					select {
					case <-over:
						return
					case <-time.After(time.Millisecond):
					}
				}
			})
		}
		f, _ := p.next()
		close(over)
		sending.Wait()
		told <- f.code.String()
		p.next()
	})
}

// A party that does not read holds the other one up: what is under way is in the
// buffers of sockets and in the windows of streams, a few MiB together.
func TestWhoDoesNotReadHoldsTheOtherUpInAnyVersion(t *testing.T) {
	const most = 64 << 20
	// stalled returns n once it does not grow any more.
	stalled := func(n *atomic.Int64) int64 {
		for last := int64(-1); ; time.Sleep(200 * time.Millisecond) {
			now := n.Load()
			if now > 0 && now == last || now > most {
				return now
			}
			last = now
		}
	}
	t.Run("client", func(t *testing.T) {
		eachPair(t, func(t *testing.T, p pair) {
			var sent atomic.Int64
			b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
				buf := make([]byte, 64<<10)
				for sent.Load() <= most {
					n, err := w.Write(buf)
					if sent.Add(int64(n)); err != nil {
						return
					}
				}
			})
			resp, err := c.Do(request(t, "GET", "/", nil))
			if err != nil {
				t.Fatal(err)
			}
			if n := stalled(&sent); n > most {
				t.Errorf("the target could write %d bytes that nobody read", n)
			}
			resp.Body.Close()
			b.ends(countersign.ClientClosed)
		})
	})
	t.Run("target", func(t *testing.T) {
		eachPair(t, func(t *testing.T, p pair) {
			over := make(chan bool)
			b, c := p.start(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
				<-over
				nethttp.NewResponseController(w).EnableFullDuplex()
				w.WriteHeader(413)
			})
			var sent atomic.Int64
			go func() {
				stalled(&sent)
				close(over)
			}()
			q := request(t, "POST", "/", counting{&sent, most})
			resp, err := c.Do(q)
			if err == nil {
				resp.Body.Close()
			}
			if n := sent.Load(); n > most {
				t.Errorf("the client could write %d bytes that nobody read", n)
			}
			b.result()
		})
	})
}

// counting is a body without an end that counts what is read of it.
type counting struct {
	n    *atomic.Int64
	most int64
}

func (c counting) Read(p []byte) (int, error) {
	if c.n.Add(int64(len(p))) > 2*c.most {
		return 0, io.ErrUnexpectedEOF
	}
	return len(p), nil
}
