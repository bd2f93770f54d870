package soak

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func http2(p *http.Protocols) { p.SetHTTP2(true) }

func toWeb(l *load) string { return l.web }
func toH2(l *load) string  { return l.h2 }

// requests has several under way at a time, over connections that are kept:
// one connection with HTTP/2.
func requests(version func(*http.Protocols), address func(*load) string) func(*worker) (func(context.Context) error, func()) {
	return func(w *worker) (func(context.Context) error, func()) {
		transport := &http.Transport{TLSClientConfig: w.tls(), Protocols: new(http.Protocols), MaxIdleConnsPerHost: 3}
		version(transport.Protocols)
		return func(ctx context.Context) error {
			var under sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				request, want := w.request(ctx, address(w.load))
				under.Go(func() { errs[i] = do(transport, request, want) })
			}
			under.Wait()
			return errors.Join(errs...)
		}, transport.CloseIdleConnections
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

func do(transport *http.Transport, q *http.Request, want []byte) error {
	r, err := transport.RoundTrip(q)
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
			transport := &http.Transport{TLSClientConfig: c, Protocols: new(http.Protocols)}
			if acts++; acts%len(configs) < 2 {
				http1(transport.Protocols)
			} else {
				http2(transport.Protocols)
			}
			defer transport.CloseIdleConnections()
			q, want := w.request(ctx, w.web)
			q = q.WithContext(watchHandshake(ctx, func(did bool) {
				if !did {
					full++
				}
			}))
			return do(transport, q, want)
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
