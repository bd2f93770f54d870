package device

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"
)

// Enroll has the device given its certificate. As long as the gateway says "not
// yet", it waits for as long as it is told, until ctx ends; the error is then that
// of ctx with the last *Problem.
func Enroll(ctx context.Context, cfg Config) (*Credential, error) {
	for {
		own, err := Initialize(ctx, cfg)
		why, ok := errors.AsType[*Problem](err)
		if !ok || why.RetryAfter == 0 {
			return own, err
		}
		// A tenth more at random: a fleet that was switched on at once does not come
		// again at once.
		wait := why.RetryAfter + mathrand.N(why.RetryAfter/10+1)
		if cfg.Waiting != nil {
			cfg.Waiting(why, wait)
		}
		again := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil, fmt.Errorf("%w: %w", ctx.Err(), why)
		case <-again.C:
		}
	}
}

// Initialize asks once, as Enroll does again and again.
func Initialize(ctx context.Context, cfg Config) (*Credential, error) {
	if cfg.Key == nil {
		return nil, errors.New("there is no key: make one, and keep it before asking")
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("the signing request: %w", err)
	}
	body, err := json.Marshal(struct {
		DeviceID string `json:"device_id,omitempty"`
		CSR      string `json:"csr"`
		Claim    string `json:"claim,omitempty"`
	}{cfg.DeviceID, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})), cfg.Claim})
	if err != nil {
		return nil, err
	}
	path := cfg.Path
	if path == "" {
		path = DefaultPath
	}
	answer, err := cfg.post(ctx, path, "application/json", "application/pem-certificate-chain, application/problem+json", bytes.NewReader(body), cfg.shown)
	if err != nil {
		return nil, err
	}
	given, err := readPEM(answer, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", cfg.URL, err)
	}
	return newCredential(cfg, given), nil
}
