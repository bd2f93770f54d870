package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"countersign.dev/bench/backend"
	"countersign.dev/bench/credentials"
)

// Prove checks that a server does the work that is compared: it lets a device
// in and tells the backend who it is, and keeps out one that is revoked and one
// that shows no certificate. The clients speak HTTP/1.1, or HTTP/2 and nothing else.
// One that passes bytes on tells the backend nothing.
func (s *Server) Prove(ctx context.Context, http2 bool) error {
	device := s.Site.Files.Clients[0]
	c, err := newCaller(s.Site, device, http2)
	if err != nil {
		return err
	}
	head, err := c.get(ctx, backend.EchoPath)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	switch s.Site.Stream {
	case TCP:
		return nil // whoever comes
	case TLS:
		return s.keepsOut(ctx, http2)
	}
	names, err := device.Names()
	if err != nil {
		return err
	}
	told := strings.ToLower(head)
	var faults []error
	for _, want := range append(names, "x-client-subject:", "x-client-issuer:", "x-client-serial:", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https", "x-forwarded-port:") {
		if !strings.Contains(told, strings.ToLower(want)) {
			faults = append(faults, fmt.Errorf("%s does not tell the backend %q, but:\n%s", s.name, want, head))
		}
	}
	return errors.Join(append(faults, s.keepsOut(ctx, http2))...)
}

// keepsOut checks that a server has clients verified.
func (s *Server) keepsOut(ctx context.Context, http2 bool) error {
	var faults []error
	for who, client := range map[string]credentials.Client{"without a certificate": {}, "with a revoked certificate": s.Site.Files.Revoked} {
		c, err := newCaller(s.Site, client, http2)
		if err != nil {
			return err
		}
		if _, err := c.get(ctx, backend.EchoPath); err == nil {
			faults = append(faults, fmt.Errorf("%s lets a client in %s", s.name, who))
		}
	}
	return errors.Join(faults...)
}

// A caller asks a server as one client, on a new connection each time.
type caller struct {
	client http.Client
	url    string
	major  int // of the version of HTTP that is spoken
}

func newCaller(site Site, c credentials.Client, http2 bool) (*caller, error) {
	cfg, err := credentials.Dial(site.Files.Root, c)
	if err != nil {
		return nil, err
	}
	major, protocols := 1, new(http.Protocols)
	if http2 {
		major = 2
	}
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, Protocols: protocols}
	scheme := "https://"
	if site.Stream == TCP {
		scheme = "http://"
	}
	return &caller{
		client: http.Client{Transport: transport, Timeout: 5 * time.Second}, url: scheme + site.Listen, major: major,
	}, nil
}

// get returns the body of a 200; all else is an error.
func (c *caller) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return "", err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
	case res.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", c.url+path, res.Status)
	case res.ProtoMajor != c.major:
		err = fmt.Errorf("%s: the answer is %s, want HTTP/%d", c.url+path, res.Proto, c.major)
	}
	return string(body), err
}
