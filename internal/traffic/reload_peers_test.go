package traffic_test

import (
	"crypto/tls"
	"fmt"
	"io"
	nethttp "net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
)

// Clients ask over connections that live, parked ones, resumed ones and new
// ones, while configurations follow each other. Once Publish has returned, no
// request that is sent afterwards by a client whom the configuration refuses may
// reach the backend, and none of one whom it takes may be refused.
func TestNoRequestIsServedUnderAConfigurationThatIsOver(t *testing.T) {
	const rounds = 40
	const verify, resuming = "trust_store: fleet}", "trust_store: fleet, resumption: true}"
	r := startBefore(t, serve(t, func(w nethttp.ResponseWriter, q *nethttp.Request) { io.WriteString(w, "served") }),
		with(fleetConfig, verify, resuming))
	lost, kept := r.root.Client("MacID-lost"), r.root.Client("MacID-kept")

	// What is in force: even numbers, those divisible by four without lost on the
	// list; odd while one is being published.
	var force, over atomic.Int32
	var served, refused atomic.Int64
	var asking sync.WaitGroup
	defer asking.Wait()
	defer over.Store(1)
	for i := range 6 {
		cert, mayBeRevoked := lost, true
		if i%3 == 2 {
			cert, mayBeRevoked = kept, false
		}
		asking.Go(func() {
			asker := asker{r: r, cert: cert, sessions: tls.NewLRUClientSessionCache(1)}
			defer asker.hangUp()
			for over.Load() == 0 {
				if i%2 == 1 {
					time.Sleep(25 * time.Millisecond) // silent for long enough to be parked
				}
				before := force.Load()
				ok, err := asker.ask()
				after := force.Load()
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					served.Add(1)
				} else {
					refused.Add(1)
				}
				if before != after || before%2 == 1 {
					continue // a configuration came into force meanwhile
				}
				if want := before%4 == 0 || !mayBeRevoked; ok != want {
					t.Errorf("client %d: served is %t, want %t", i, ok, want)
				}
			}
		})
	}
	for n := range int64(rounds) {
		force.Add(1)
		if n%2 == 0 {
			r.revoke(n, lost)
		} else {
			r.revoke(n)
		}
		r.publish(with(withLists, verify, resuming))
		force.Add(1)
		// Until both answers have been seen under it.
		for s, f := served.Load(), refused.Load(); served.Load() < s+8 || n%2 == 0 && refused.Load() < f+8; {
			if t.Failed() {
				return
			}
			runtime.Gosched()
		}
	}
}

// An asker asks over one connection for as long as that lives.
type asker struct {
	r        *rig
	cert     *testpki.Certificate
	sessions tls.ClientSessionCache
	conn     *client
	answered bool // the last request was, with whatever
}

// ask reports whether a request was served; a refusal by TLS or HTTP is no error.
// A connection that was used before may end just when it is used again, because
// of what was in force before: then the request is made on another one, as
// clients do (RFC 9112 section 9.3.1).
func (a *asker) ask() (bool, error) {
	if a.conn != nil {
		if ok, err := a.try(); ok || err != nil || a.conn != nil || a.answered {
			return ok, err
		}
	}
	return a.try()
}

func (a *asker) try() (bool, error) {
	a.answered = false
	if a.conn == nil {
		c, err := a.r.try(a.cert, func(cfg *tls.Config) { cfg.ClientSessionCache = a.sessions })
		if err != nil {
			return false, nil
		}
		a.conn = c
	}
	if _, err := io.WriteString(a.conn.conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		a.hangUp()
		return false, nil
	}
	res, err := nethttp.ReadResponse(a.conn.in, nil)
	if err != nil { // TLS 1.3 tells a client only now
		a.hangUp()
		return false, nil
	}
	a.answered = true
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return false, err
	}
	if res.Close {
		a.hangUp()
	}
	switch {
	case res.StatusCode == 200 && string(body) == "served":
		return true, nil
	case res.StatusCode == 403:
		return false, nil
	}
	return false, fmt.Errorf("got %d %q", res.StatusCode, body)
}

func (a *asker) hangUp() {
	if a.conn != nil {
		a.conn.conn.Close()
		a.conn = nil
	}
}
