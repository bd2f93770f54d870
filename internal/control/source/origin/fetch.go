package origin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
)

// A Version tells one state of what a server has from another. Either text may
// be empty.
type Version struct {
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"` // as the server wrote it
}

// A BusyError is a refusal with the wish not to be asked again for a while.
type BusyError struct {
	After time.Duration
	cause error
}

// Error is what the server said.
func (e *BusyError) Error() string { return e.cause.Error() }

// ErrUnchanged says that what is known is what the server has.
var ErrUnchanged = errors.New("it has not changed")

// Fetch writes what a source has to w, at most spec.Limit bytes within
// spec.Timeout. Nothing is written with ErrUnchanged, which is the answer only
// if known says something; after another error w has some part of it or nothing.
func Fetch(ctx context.Context, spec Spec, known Version, w io.Writer) (Version, error) {
	ctx, cancel := context.WithTimeout(ctx, spec.Timeout)
	defer cancel()
	v, err := fetch(ctx, spec, known, w)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("it did not arrive within %v; timeout of the source allows more", spec.Timeout)
	}
	return v, err
}

// An answer is what a server has.
type answer struct {
	Version
	body io.ReadCloser
	size int64  // negative: the server does not say
	kind string // Content-Type
}

func fetch(ctx context.Context, spec Spec, known Version, w io.Writer) (Version, error) {
	if spec.Reach != nil {
		if err := spec.Reach.Check(spec.URL); err != nil {
			return Version{}, fmt.Errorf("a certificate names this URL, which may not be asked: %w", err)
		}
	}
	transport, err := newTransport(spec)
	if err != nil {
		return Version{}, err
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	get := getHTTPS
	if strings.HasPrefix(spec.URL, "s3://") {
		get = getS3
	}
	a, err := get(ctx, transport, spec, known)
	if err == ErrUnchanged && known == (Version{}) {
		err = errors.New("the server says that it has not changed, without having been told since when")
	}
	if err != nil {
		return Version{}, said(err)
	}
	// Some bodies read on to the end when they are closed, unless it is all over.
	defer func() { cancel(); a.body.Close() }()
	if a.size > spec.Limit {
		return Version{}, tooLarge(spec.Limit)
	}
	begin, rest, err := peek(a.body)
	if err != nil {
		return Version{}, said(err)
	}
	want := "certificates or revocation lists"
	if spec.Keys {
		want = "a JWK set"
	}
	if what := foreign(begin, a.kind); what != "" && !(spec.Keys && what == isJSON) {
		return Version{}, fmt.Errorf("the server sends %s; want %s", what, want)
	}
	switch n, err := io.Copy(w, io.LimitReader(rest, spec.Limit+1)); {
	case err != nil:
		return Version{}, said(err)
	case ctx.Err() != nil: // some bodies end well when they are interrupted
		return Version{}, ctx.Err()
	case n > spec.Limit:
		return Version{}, tooLarge(spec.Limit)
	case n == 0:
		return Version{}, errors.New("the server sends nothing")
	}
	return a.Version, nil
}

// peek returns the first bytes of a body, and a reader of all of it. A body that
// fails once may end well when it is read again, so that no error gets lost.
func peek(body io.Reader) (begin []byte, all io.Reader, err error) {
	begin = make([]byte, 0, 512)
	for len(begin) < cap(begin) {
		n, err := body.Read(begin[len(begin):cap(begin)])
		begin = begin[:len(begin)+n]
		if err == io.EOF {
			return begin, bytes.NewReader(begin), nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return begin, io.MultiReader(bytes.NewReader(begin), body), nil
}

func tooLarge(limit int64) error {
	return fmt.Errorf("it is larger than %d bytes; is it the right one? limits of the trust store allow more", limit)
}

// said takes the URL, of which the query may be a secret, off an error.
func said(err error) error {
	if cause, ok := errors.AsType[*url.Error](err); ok {
		err = cause.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the connection ended before the content did: %w", err)
	}
	return err
}

// isJSON is what foreign calls the one thing that is of use elsewhere.
const isJSON = "JSON"

// foreign says what begins with these bytes, if that is of no use here. A DER
// file begins with 0x30, PEM with a comment or a dash.
func foreign(begin []byte, kind string) string {
	text := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(begin, []byte("\xef\xbb\xbf")), " \t\r\n"))
	media, _, _ := mime.ParseMediaType(kind) // "" if there is none
	switch {
	case bytes.HasPrefix(text, []byte("<!doctype html")), bytes.HasPrefix(text, []byte("<html")), media == "text/html":
		return "an HTML page"
	case bytes.HasPrefix(text, []byte("<")):
		return "XML"
	case bytes.HasPrefix(text, []byte("{")):
		return isJSON
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return "something compressed (gzip)"
	case bytes.HasPrefix(begin, []byte("PK\x03\x04")):
		return "a ZIP archive"
	}
	return ""
}

// maxAnswerHead bounds the head of an answer.
const maxAnswerHead = 64 << 10

// newTransport serves one fetch: proxies of the environment, TLS 1.2 at least,
// always verified, and the authorities as they are in their file now.
func newTransport(spec Spec) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if spec.CA != "" {
		pem, err := os.ReadFile(spec.CA)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate; want the authorities of the server's certificate in PEM", spec.CA)
		}
	}
	proxy := httpproxy.FromEnvironment().ProxyFunc()
	var dial func(ctx context.Context, network, address string) (net.Conn, error)
	if spec.Reach != nil {
		u, err := url.Parse(spec.URL)
		if err != nil {
			return nil, err
		}
		// A proxy is configured, whatever its address, and looks up the name itself.
		if via, err := proxy(u); err == nil && via == nil {
			dial = spec.Reach.DialContext
		}
	}
	return &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext:            dial,
		TLSClientConfig:        config,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		DisableKeepAlives:      true, // one fetch in minutes
		MaxResponseHeaderBytes: maxAnswerHead,
	}, nil
}

// maxRedirects bounds how often a server sends us elsewhere on itself.
const maxRedirects = 5

// getHTTPS asks a web server (RFC 9110 section 13 has conditional requests).
func getHTTPS(ctx context.Context, transport http.RoundTripper, spec Spec, known Version) (*answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, spec.URL, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "countersign")
	if known.ETag != "" {
		r.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		r.Header.Set("If-Modified-Since", known.LastModified)
	}
	client := http.Client{Transport: transport, CheckRedirect: sameServer}
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
			res.Body.Close()
			return nil, fmt.Errorf("the server compresses it (%s) without having been asked to", coding)
		}
		return &answer{
			Version: Version{res.Header.Get("ETag"), settledDate(res.Header)},
			body:    res.Body, size: res.ContentLength, kind: res.Header.Get("Content-Type"),
		}, nil
	}
	res.Body.Close()
	if res.StatusCode == http.StatusNotModified {
		return nil, ErrUnchanged
	}
	refused := fmt.Errorf("the server answers %s; want 200", res.Status)
	if seconds, err := time.ParseDuration(res.Header.Get("Retry-After") + "s"); err == nil && seconds > 0 {
		return nil, &BusyError{seconds, refused}
	}
	return nil, refused
}

// settledDate is Last-Modified, if it tells one state from the next: of a file
// that was written within the second of the answer there may be another state
// with the same date (RFC 9110 section 8.8.2.2).
func settledDate(h http.Header) string {
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	if answered, err := http.ParseTime(h.Get("Date")); err != nil || answered.Sub(modified) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}

// sameServer lets a server send us elsewhere on itself alone: another one may
// be within our network, where it believes us (server-side request forgery).
func sameServer(r *http.Request, via []*http.Request) error {
	was := via[0].URL
	to := r.URL.Scheme + "://" + r.URL.Host
	switch {
	case r.URL.Scheme != was.Scheme || !strings.EqualFold(r.URL.Host, was.Host):
		return fmt.Errorf("the server sends us to another one, %s, which is not followed; if it is meant, write its URL", to)
	case len(via) > maxRedirects:
		return fmt.Errorf("the server sends us from one URL to the next, %d times", len(via))
	}
	return nil
}
