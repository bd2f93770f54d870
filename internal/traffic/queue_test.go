package traffic_test

import (
	"io"
	nethttp "net/http"
	"runtime"
	"testing"
	"time"
)

// queued waits until so many requests wait for a place at a target.
func (r *rig) queued(n int) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		if all := r.fleet.Status(); len(all) == 1 && all[0].Waiting == n {
			return
		} else if time.Now().After(end) {
			r.t.Fatalf("%+v, want %d waiting", all, n)
		}
	}
}

// Who waits for a target with a free place, and goes away, waits no longer: the
// place in the queue is another's.
func TestAClientThatLeavesTheQueueIsNoticedBeforeItsTurn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nobody looks at the socket here, see left_other.go")
	}
	for name, config := range map[string]string{"https": fleetConfig, "http": httpConfig} {
		t.Run(name, func(t *testing.T) {
			asked, answer := make(chan struct{}, 8), make(chan struct{})
			backend := serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) {
				asked <- struct{}{}
				<-answer
				writeHeader(w, q)
			})
			r := startBefore(t, backend, with(config, `targets: ["BACKEND"]`, `targets: ["BACKEND"], max_connections: 1, queue: {timeout: 10m, length: 1}`))
			dial := func() *client {
				if name == "http" {
					return r.plain("127.0.0.1:0")
				}
				return r.dial(r.root.Client("MacID-1"))
			}
			first, lost, next := dial(), dial(), dial()
			first.send()
			<-asked
			lost.send()
			r.queued(1)
			io.WriteString(lost.conn, "GET /next HTTP/1.1\r\n") // behind which its end is hidden
			lost.conn.Close()
			line := r.journal.wait(t, event{"event": "access", "denial_code": "ClientClosed"})
			if line["target_ip"] != nil && line["target_ip"] != "" {
				t.Errorf("%v", line)
			}
			next.send() // in whose place there is room
			r.queued(1)
			close(answer)
			first.reply().served(t)
			next.reply().served(t)
		})
	}
}
