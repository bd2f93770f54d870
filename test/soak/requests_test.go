package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"

	h2 "golang.org/x/net/http2"
)

// A transport is a client of one version of HTTP, with connections of its own.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

func http1(c *tls.Config) transport {
	return &http.Transport{TLSClientConfig: c, MaxIdleConnsPerHost: 3}
}

// http2 is not http.Transport, which gives a request up that cannot be sent again
// ("cannot rewind body") if a GOAWAY comes when it has been given to a connection and
// nothing of it is sent: that is nobody's loss but its own. This one sends it on
// another connection.
func http2(c *tls.Config) transport {
	return &h2.Transport{TLSClientConfig: c, DialTLSContext: dialWatched}
}

// dialWatched has the watchHandshake of ctx told, which h2.Transport does not do.
func dialWatched(ctx context.Context, network, address string, c *tls.Config) (net.Conn, error) {
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(ctx); trace != nil {
		trace.TLSHandshakeDone(conn.(*tls.Conn).ConnectionState(), nil)
	}
	return conn, nil
}

func toWeb(l *load) string { return l.web }
func toH2(l *load) string  { return l.h2 }

// requests has several under way at a time, over connections that are kept:
// one connection with HTTP/2.
func requests(version func(*tls.Config) transport, address func(*load) string) func(*worker) (func(context.Context) error, func()) {
	return func(w *worker) (func(context.Context) error, func()) {
		client := version(w.tls())
		return func(ctx context.Context) error {
			var under sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				request, want := w.request(ctx, address(w.load))
				under.Go(func() { errs[i] = do(client, request, want) })
			}
			under.Wait()
			return errors.Join(errs...)
		}, client.CloseIdleConnections
	}
}

// request is a GET, or a POST whose length the head tells or not, with what is
// to be answered. One whose length is not told cannot be sent again.
func (w *worker) request(ctx context.Context, address string) (q *http.Request, want []byte) {
	from, to := w.some()
	want = content[from:to]
	var body io.Reader
	path, method := "/post", http.MethodPost
	switch w.rand.IntN(3) {
	case 0:
		path, method = fmt.Sprintf("/get?from=%d&to=%d", from, to), http.MethodGet
	case 1:
		body = bytes.NewReader(want)
	default:
		body = struct{ io.Reader }{bytes.NewReader(want)}
	}
	q, err := http.NewRequestWithContext(ctx, method, "https://"+address+path, body)
	if err != nil {
		panic(err)
	}
	q.Header.Set(deviceField, w.name)
	return q, want
}

func do(client transport, q *http.Request, want []byte) error {
	r, err := client.RoundTrip(q)
	if err != nil {
		return fmt.Errorf("%s %s: %w", q.Method, q.URL.Path, err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", r.Status, got)
	}
	if err == nil {
		err = same(want, got)
	}
	if err != nil {
		return fmt.Errorf("%s %s over %s: %w", q.Method, q.URL.Path, r.Proto, err)
	}
	return nil
}

// handshakes makes a connection for each request, by turns with either version
// of TLS, and either version of HTTP.
func handshakes(resume bool) func(*worker) (func(context.Context) error, func()) {
	return func(w *worker) (func(context.Context) error, func()) {
		var configs [4]*tls.Config
		for i := range configs {
			configs[i] = w.tls()
			if resume {
				configs[i].ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			if i%2 == 0 {
				configs[i].MaxVersion = tls.VersionTLS12
			}
		}
		acts, full := 0, 0
		act := func(ctx context.Context) error {
			c := configs[acts%len(configs)]
			version := http2
			if acts++; acts%len(configs) < 2 {
				version = http1
			}
			client := version(c)
			defer client.CloseIdleConnections()
			q, want := w.request(ctx, w.web)
			q = q.WithContext(watchHandshake(ctx, func(did bool) {
				if !did {
					full++
				}
			}))
			return do(client, q, want)
		}
		return act, func() {
			// A ticket does not outlive the revocation list that it was given under.
			most := acts
			if resume {
				most = len(configs) * int(1+w.lists.Load())
			}
			if full > most || !resume && full < acts {
				w.t.Errorf("%d of %d handshakes were full ones, wanted at most %d", full, acts, most)
			}
		}
	}
}
