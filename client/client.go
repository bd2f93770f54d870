package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// DefaultAddress is where a node has its management API unless node.admin says
// otherwise.
const DefaultAddress = "127.0.0.1:9901"

// Config says where a node is, and who asks. Give TokenFile to ask on the same
// machine, Certificate and Key to ask from anywhere.
type Config struct {
	// Address is HOST:PORT or a URL without a path. "": DefaultAddress.
	Address string
	// TokenFile is api.token in the node's data_dir. It is used over plain HTTP and
	// over TLS, but only to the same machine.
	TokenFile string
	// Certificate and Key are PEM files: the operator's.
	Certificate, Key string
	// CA is a PEM file with the authorities of the node's own certificate, or with
	// that certificate. "": those of the system.
	CA string
	// ServerName is the name in the node's certificate. "": the host of Address.
	ServerName string
	// Timeout bounds a request. 0: five minutes, which is what a reload that
	// fetches from slow servers may take.
	Timeout time.Duration
}

// A Client asks one node. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New reads the files of cfg. It does not connect yet.
func New(cfg Config) (*Client, error) {
	secure := cfg.CA != "" || cfg.Certificate != "" || cfg.ServerName != ""
	base, err := baseURL(cfg.Address, secure)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base.String()}
	if cfg.TokenFile != "" {
		if !loopback(base.Hostname()) {
			return nil, fmt.Errorf("the token is for callers on the node's own machine, and %s is another: use an operator's certificate", base.Hostname())
		}
		if c.token, err = readToken(cfg.TokenFile); err != nil {
			return nil, err
		}
	}
	transport := &http.Transport{
		// No proxy: what is sent is a secret, and whom it is for is near.
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     time.Minute,
	}
	if base.Scheme == "https" {
		if transport.TLSClientConfig, err = cfg.tls(); err != nil {
			return nil, err
		}
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	c.http = &http.Client{Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func baseURL(address string, secure bool) (*url.URL, error) {
	if address == "" {
		address = DefaultAddress
	}
	if !strings.Contains(address, "://") {
		scheme := "http://"
		if secure {
			scheme = "https://"
		}
		address = scheme + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address %q: %w", address, err)
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Port() == "", strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.User != nil:
		return nil, fmt.Errorf("address %q: expected HOST:PORT, or http:// or https:// before it", address)
	case u.Scheme == "http" && secure:
		return nil, fmt.Errorf("address %q with a certificate or an authority: expected https://", address)
	}
	u.Path = ""
	return u, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func readToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the token of the management API: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("%s is no token of a management API: expected one line, as a node writes it into its data_dir", file)
	}
	return token, nil
}

func (cfg *Config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", cfg.CA)
		}
	}
	if cfg.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Certificate, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("the operator's certificate %s with the key %s: %w", cfg.Certificate, cfg.Key, err)
		}
		// Shown whatever authorities the node names: it says best what is wrong.
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return t, nil
}

// An UnreachableError says why no answer came.
type UnreachableError struct {
	Address string
	Err     error
}

// Error says so, and what may be the matter.
func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no answer from the node at %s: %v", e.Address, e.Err)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// mostAnswer bounds an answer, in bytes.
const mostAnswer = 64 << 20

// do makes a request. body and answer are JSON; nil for none.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	return c.send(ctx, method, path, query, "application/json", content, answer)
}

// send is do with a body of any type; nil for none.
func (c *Client) send(ctx context.Context, method, path string, query url.Values, kind string, content io.Reader, answer any) error {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if content != nil {
		request.Header.Set("Content-Type", kind)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // which does not repeat the URL
		}
		return &UnreachableError{Address: c.base, Err: err}
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	switch {
	case err != nil:
		return &UnreachableError{Address: c.base, Err: err}
	case response.StatusCode >= 300:
		return problemOf(response, data)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("%s %s: an answer that is not understood (%w): is %s the admin address of a countersign?", method, path, err, c.base)
	}
	return nil
}

// A Page is a part of a listing.
type Page[T any] struct {
	Items []T `json:"items" nullable:"false" doc:"In the order of their keys."`
	// Next is what after has to be for the page behind this one; "" on the last.
	Next string `json:"next,omitempty" doc:"The value of after for the next page; absent on the last one."`
}

// all asks for page after page.
func all[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query := clone(query)
		for {
			var page Page[T]
			if err := c.do(ctx, http.MethodGet, path, query, nil, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("after", page.Next)
		}
	}
}

func clone(query url.Values) url.Values {
	other := url.Values{}
	for k, v := range query {
		other[k] = v
	}
	return other
}
