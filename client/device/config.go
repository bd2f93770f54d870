package device

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultPath is where a gateway has Initialize unless devices.initialize.path
// says otherwise.
const DefaultPath = "/.well-known/countersign/initialize"

// Config says who asks which gateway.
type Config struct {
	// URL is https://HOST:PORT.
	URL string
	// RootCAs are the authorities of the gateway's certificate. nil: the system's.
	RootCAs *x509.CertPool
	// Certificate is what the device shows to Enroll: the bootstrap certificate that
	// all devices are made with; or its own, to get another one.
	Certificate tls.Certificate
	// DeviceID is the device's, in any spelling. "": as Certificate says.
	DeviceID string
	// Claim is the device's secret, if it is to show one.
	Claim string
	// Key is the device's own, which the certificate is for. Keep it where it outlives
	// a loss of power before Enroll: a device that is interrupted is given its
	// certificate again for the same key alone.
	Key crypto.Signer
	// Path is that of Initialize. "": DefaultPath.
	Path string
	// Label is that of the authority in the paths of EST. "": none.
	Label string
	// Timeout bounds each request. 0: a minute.
	Timeout time.Duration
	// Waiting, if it is not nil, is told why Enroll waits, and for how long.
	Waiting func(why *Problem, wait time.Duration)
}

// mostAnswer bounds an answer, in bytes.
const mostAnswer = 1 << 20

// at is the URL of a path of the gateway.
func (cfg *Config) at(path string) (string, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("the gateway's URL %q: expected https://HOST:PORT", cfg.URL)
	}
	return "https://" + u.Host + path, nil
}

// post sends one request over a connection of its own, by which the gateway knows
// the device, and returns the body of an answer with status 200.
func (cfg *Config) post(ctx context.Context, path, kind, accept string, body io.Reader, show func() (*tls.Certificate, error)) ([]byte, error) {
	target, err := cfg.at(path)
	if err != nil {
		return nil, err
	}
	certificate, err := show()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("Accept", accept)
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSHandshakeTimeout: 30 * time.Second,
		ForceAttemptHTTP2:   true,
		TLSClientConfig: &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12,
			// Shown whatever authorities the gateway names: it says best what is wrong.
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }},
	}
	defer transport.CloseIdleConnections()
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = time.Minute
	}
	client := &http.Client{Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", target, err)
	case response.StatusCode != http.StatusOK:
		return nil, problemOf(response, answer, time.Now())
	}
	return answer, nil
}

// shown is the certificate of cfg, if there is one.
func (cfg *Config) shown() (*tls.Certificate, error) {
	if len(cfg.Certificate.Certificate) == 0 || cfg.Certificate.PrivateKey == nil {
		return nil, errors.New("there is no certificate to show: give the bootstrap certificate with its key")
	}
	return &cfg.Certificate, nil
}
