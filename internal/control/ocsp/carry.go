package ocsp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// clients make the requests of lines that may reach the same hosts.
type clients struct {
	proxy           func(*url.URL) (*url.URL, error)
	direct, proxied *http.Client
}

func (c *clients) close() {
	c.direct.CloseIdleConnections()
	c.proxied.CloseIdleConnections()
}

const (
	maxHead  = 64 << 10 // of an HTTP response
	idleFor  = 30 * time.Second
	idleEach = 4
)

// clientsOf returns those of a line.
func (a *Asker) clientsOf(l *Line) *clients {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := l.settings.reach()
	if c := a.clients[key]; c != nil {
		return c
	}
	dial := l.hosts.DialContext
	if l.settings.Responder != "" {
		dial = new(net.Dialer).DialContext
	}
	client := func(dial func(context.Context, string, string) (net.Conn, error), proxy func(*http.Request) (*url.URL, error)) *http.Client {
		return &http.Client{
			Transport: &http.Transport{
				DialContext: dial, Proxy: proxy,
				DisableCompression: true, MaxResponseHeaderBytes: maxHead,
				MaxIdleConnsPerHost: idleEach, MaxIdleConns: atOnce, IdleConnTimeout: idleFor,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	c := &clients{proxy: httpproxy.FromEnvironment().ProxyFunc()}
	c.direct = client(dial, nil)
	// The address of a proxy was chosen here, and what it connects to is its business.
	c.proxied = client(new(net.Dialer).DialContext, func(r *http.Request) (*url.URL, error) { return c.proxy(r.URL) })
	a.clients[key] = c
	return c
}

// carry takes a request to a responder, and brings back its response.
func (a *Asker) carry(ctx context.Context, l *Line, r *responder, u string, request []byte) ([]byte, error) {
	target, err := url.Parse(u)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	all := a.clientsOf(l)
	client := all.direct
	if via, err := all.proxy(target); err != nil || via != nil {
		client = all.proxied
	}
	// No cache has an answer to a nonce.
	if path, short := inPath(request); short && !l.settings.Nonce && target.RawQuery == "" && !a.posts(r) {
		response, err := send(ctx, client, http.MethodGet, strings.TrimSuffix(u, "/")+path, nil)
		if _, no := errors.AsType[*statusError](err); !no {
			return response, err
		}
		response, err = send(ctx, client, http.MethodPost, u, request)
		if err == nil {
			a.mu.Lock()
			r.posts = true
			a.mu.Unlock()
		}
		return response, err
	}
	return send(ctx, client, http.MethodPost, u, request)
}

func (a *Asker) posts(r *responder) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return r.posts
}

// inPath returns a request as a GET has it, if it is short enough for one, so
// that caches on the way may answer (RFC 5019 section 5).
func inPath(request []byte) (path string, short bool) {
	path = "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(request))
	return path, len(path) <= 255
}

// A statusError is an HTTP status other than 200, of a responder that may want
// another method.
type statusError struct{ status string }

func (e *statusError) Error() string {
	return "it answers with the HTTP status " + e.status + "; want 200"
}

func send(ctx context.Context, client *http.Client, method, u string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("it is no URL that can be asked")
	}
	r.Header.Set("User-Agent", "countersign")
	r.Header.Set("Accept", "application/ocsp-response")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/ocsp-request")
		r.Header["Idempotency-Key"] = nil // asking twice does no harm: net/http may, if a kept connection has ended
	}
	res, err := client.Do(r)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // without the URL, whose query may be a secret
		}
		return nil, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return nil, fmt.Errorf("it sends us to another URL, %.200q, which is not followed", res.Header.Get("Location"))
	case res.StatusCode != http.StatusOK:
		return nil, &statusError{res.Status}
	}
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "application/ocsp-response" {
		return nil, fmt.Errorf("it answers with the content type %.100q; want application/ocsp-response: is it an OCSP responder?", kind)
	}
	response, err := io.ReadAll(io.LimitReader(res.Body, ocsp.MaxResponse+1))
	if err != nil {
		return nil, err
	}
	if len(response) > ocsp.MaxResponse {
		return nil, fmt.Errorf("its answer has more than %d bytes", ocsp.MaxResponse)
	}
	return response, nil
}
