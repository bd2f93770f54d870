package traffic_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"testing"
)

// byHand is a backend that answers the connections made to it one after the
// other, each in a goroutine of its own that ends when the rig does.
func byHand(t testing.TB, handle func(conn net.Conn, in *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { ln.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				handle(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return ln.Addr().String()
}

// A target that sends more than its answer has written the answer to the next
// request on that connection, which may be another client's, and shifts all that
// follow by one (compare CVE-2026-71324, where a CONNECT did it).
func TestWhatATargetSendsBehindItsAnswerReachesNobody(t *testing.T) {
	for name, excess := range map[string]string{
		"an answer":     "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
		"half of one":   "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoi",
		"a single byte": "H",
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %t", name, late), func(t *testing.T) {
				ready := make(chan struct{}) // the excess is under way
				release := make(chan struct{})
				r := startBefore(t, byHand(t, func(conn net.Conn, in *bufio.Reader) {
					for {
						q, err := nethttp.ReadRequest(in)
						if err != nil {
							return
						}
						who := q.Header.Get("Who")
						answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(who), who)
						if who != "first" {
							io.WriteString(conn, answer)
							continue
						}
						if !late {
							answer += excess
						}
						io.WriteString(conn, answer)
						if late {
							<-release
							io.WriteString(conn, excess)
						}
						close(ready)
					}
				}), fleetConfig)
				first, other := r.dial(r.root.Client("MacID-1")), r.dial(r.root.Client("MacID-2"))

				if got := first.get("Who: first"); got.body != "first" {
					t.Fatalf("got %q", got.body)
				}
				close(release) // the gateway has put the connection away: it answered
				<-ready
				for _, who := range []string{"second", "third"} {
					if got := other.get("Who: " + who); got.body != who {
						t.Errorf("the client that said %q was answered %q", who, got.body)
					}
				}
			})
		}
	}
}
