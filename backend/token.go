package backend

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-jose/go-jose/v4"

	"countersign.dev"
)

const (
	// tokenType is the typ of the gateway's tokens (RFC 8725 section 3.11).
	tokenType = "client-identity+jwt"
	// tokenSize bounds a token, in bytes: a gateway sends no longer header.
	tokenSize = 64 << 10
	// tokenLife bounds exp - iat: a gateway signs for no longer.
	tokenLife = time.Hour
)

// claims is the payload of a token.
type claims struct {
	Issuer       string `json:"iss"`
	Audience     string `json:"aud"`
	IssuedAt     int64  `json:"iat"`
	Expires      int64  `json:"exp"`
	Verified     bool   `json:"verified"`
	Subject      string `json:"sub"`
	VouchedBy    string `json:"vouched_by"`
	Confirmation struct {
		Thumbprint string `json:"x5t#S256"`
	} `json:"cnf"`
	Certificate struct {
		Subject   string       `json:"subject"`
		Issuer    string       `json:"issuer"`
		Serial    string       `json:"serial"`
		NotBefore int64        `json:"not_before"`
		NotAfter  int64        `json:"not_after"`
		CN        []string     `json:"cn"`
		OU        []string     `json:"ou"`
		DNS       []string     `json:"san_dns"`
		URI       []string     `json:"san_uri"`
		Email     []string     `json:"san_email"`
		IP        []netip.Addr `json:"san_ip"`
	} `json:"certificate"`
	Device struct {
		ID    string `json:"id"`
		State string `json:"state"`
	} `json:"device"`
	Credential struct {
		Subject string `json:"subject"`
		Type    string `json:"type"`
		Name    string `json:"name"`
	} `json:"credential"`
}

// token verifies the signed statement of a request.
func (v *Verifier) token(h http.Header) (*Client, error) {
	raw, err := field(h, v.cfg.Header)
	switch {
	case err != nil:
		return nil, err
	case raw == "":
		return nil, fmt.Errorf("header %s is missing: the request did not come through the gateway", v.cfg.Header)
	case len(raw) > tokenSize:
		return nil, fmt.Errorf("header %s has %d bytes: no token is longer than %d", v.cfg.Header, len(raw), tokenSize)
	}
	c, err := v.statement(raw)
	if err != nil {
		return nil, fmt.Errorf("header %s: %w", v.cfg.Header, err)
	}
	return c, nil
}

func (v *Verifier) statement(raw string) (*Client, error) {
	// One algorithm alone: a token that names another is not parsed (RFC 8725
	// section 3.1).
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	head := signed.Signatures[0].Protected
	if typ := head.ExtraHeaders[jose.HeaderType]; typ != tokenType {
		return nil, fmt.Errorf("its typ is %v: want %s", typ, tokenType)
	}
	key, err := v.keys.find(head.KeyID)
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", head.KeyID, err)
	}
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, err
	}
	if err := v.holds(&c); err != nil {
		return nil, err
	}
	return c.client()
}

// holds checks whom a token is for, and when.
func (v *Verifier) holds(c *claims) error {
	now, issued, expires := v.cfg.now(), time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0)
	switch {
	case c.Issuer != v.cfg.Issuer:
		return fmt.Errorf("its iss is %q: want %q", c.Issuer, v.cfg.Issuer)
	case c.Audience != v.cfg.Audience:
		return fmt.Errorf("its aud is %q: want %q", c.Audience, v.cfg.Audience)
	case !now.Before(expires.Add(v.cfg.Leeway)):
		return fmt.Errorf("it has expired at %s", expires.UTC().Format(time.RFC3339))
	case now.Add(v.cfg.Leeway).Before(issued):
		return fmt.Errorf("it is of %s, which is still to come: are the clocks right?", issued.UTC().Format(time.RFC3339))
	case c.Expires-c.IssuedAt > int64(tokenLife/time.Second) || c.Expires <= c.IssuedAt:
		return fmt.Errorf("it is for %d seconds: want 1 to %d", c.Expires-c.IssuedAt, int64(tokenLife/time.Second))
	}
	return nil
}

// client is the Client that a token describes.
func (c *claims) client() (*Client, error) {
	out := &Client{Verified: c.Verified, VouchedBy: c.VouchedBy, Device: Device(c.Device), Credential: Credential(c.Credential)}
	if t := c.Confirmation.Thumbprint; t != "" {
		sum, err := base64.RawURLEncoding.Strict().DecodeString(t)
		if err != nil || len(sum) != len(out.Fingerprint) {
			return nil, fmt.Errorf("its cnf has x5t#S256 %q: want a SHA-256 in base64url", t)
		}
		copy(out.Fingerprint[:], sum)
	}
	if !c.Verified {
		return out, nil
	}
	if out.Fingerprint == [32]byte{} {
		if c.VouchedBy == "" {
			return nil, errors.New("it calls a client verified that has no certificate")
		}
		out.Subject = c.Subject // all that the balancer has told
		return out, nil
	}
	d := &c.Certificate
	out.Identity = countersign.Identity{
		Subject: d.Subject, Issuer: d.Issuer, Serial: d.Serial, Fingerprint: out.Fingerprint,
		NotBefore: time.Unix(d.NotBefore, 0).UTC(), NotAfter: time.Unix(d.NotAfter, 0).UTC(),
		CommonNames: d.CN, OrganizationalUnits: d.OU, DNSNames: d.DNS, URIs: d.URI, Emails: d.Email, IPs: d.IP,
	}
	return out, nil
}
