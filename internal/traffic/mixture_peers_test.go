package traffic_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"

	"countersign.dev/internal/testpki"
)

// Clients send bodies of every size in every framing, pipeline, and hang up in
// the middle; the backend answers early, closes, or drops them. Whoever gets an
// answer gets the one to its own request.
func TestNobodyGetsTheAnswerToAnother(t *testing.T) {
	const clients, exchanges = 6, 60
	r := startBefore(t, serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
		switch rand.IntN(8) {
		case 0: // before the body is read
			w.Header().Set("Connection", "close")
			io.WriteString(w, q.Header.Get("Nonce")+";")
			return
		case 1:
			panic(nethttp.ErrAbortHandler)
		}
		body, _ := io.ReadAll(q.Body)
		answer := q.Header.Get("Nonce") + ";" + string(body)
		if rand.IntN(2) == 0 {
			w.Header().Set("Content-Length", fmt.Sprint(len(answer)))
		}
		io.WriteString(w, answer)
	}), fleetConfig)
	var all sync.WaitGroup
	for i := range clients {
		w := &worker{r: r, cert: r.root.Client(fmt.Sprint("MacID-", i)), letter: string('a' + rune(i))}
		all.Go(func() {
			for n := range exchanges {
				if err := w.work(fmt.Sprintf("%d-%d", i, n)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A worker sends bodies of its own letter over one connection after the other.
type worker struct {
	r      *rig
	cert   *testpki.Certificate
	letter string
	conn   *client
}

// work makes one exchange or two. An answer that does not come is no error, the
// answer to something else is.
func (w *worker) work(nonce string) (err error) {
	if w.conn == nil {
		if w.conn, err = w.r.try(w.cert); err != nil {
			return err
		}
	}
	c := w.conn
	request, answers := w.request(nonce), []string{nonce}
	if rand.IntN(4) == 0 {
		answers = append(answers, nonce+" again")
		request += "GET / HTTP/1.1\r\nHost: localhost\r\nNonce: " + nonce + " again\r\n\r\n"
	}
	cut := rand.IntN(20) == 0
	if cut {
		request = request[:rand.IntN(len(request))]
	}
	sent := make(chan struct{})
	go func() { defer close(sent); io.WriteString(c.conn, request) }()
	if cut {
		<-sent
	}
	for _, want := range answers {
		if w.conn == nil || cut {
			break
		}
		res, err := nethttp.ReadResponse(c.in, nil)
		if err != nil {
			w.conn = nil
			break
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || res.Close {
			w.conn = nil
		}
		who, body, _ := strings.Cut(string(got), ";")
		if res.StatusCode == 200 && (who != want || strings.Trim(body, w.letter) != "") {
			return fmt.Errorf("%s was answered %.80q", want, got)
		}
	}
	if w.conn == nil || cut {
		w.conn = nil
		c.conn.Close()
	}
	<-sent
	return nil
}

func (w *worker) request(nonce string) string {
	body := strings.Repeat(w.letter, []int{0, 1, 100, 4000, 5000, 40000, 200000}[rand.IntN(7)])
	head := "POST / HTTP/1.1\r\nHost: localhost\r\nNonce: " + nonce + "\r\n"
	if rand.IntN(2) == 0 {
		return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	}
	var chunks strings.Builder
	for body != "" {
		n := min(len(body), 1+rand.IntN(9000))
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return head + "Transfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n"
}
