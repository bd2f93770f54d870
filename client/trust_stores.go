package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// A TrustStore is one of the configuration in force.
type TrustStore struct {
	Name       string    `json:"name"`
	Generation string    `json:"generation" doc:"SHA-256, in hex, of everything in it that decides."`
	Anchors    []Anchor  `json:"anchors" nullable:"false"`
	Sources    []string  `json:"sources" nullable:"false" doc:"Of its bundle: files and URLs."`
	UsedBy     []string  `json:"used_by" nullable:"false" doc:"Listeners whose clients it verifies, and node.admin."`
	Revocation *Checking `json:"revocation,omitempty" doc:"Absent: nobody's certificate is ever taken for revoked."`
}

// An Anchor is a CA certificate of a trust store.
type Anchor struct {
	Subject     string    `json:"subject" doc:"As RFC 2253 writes it."`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial" doc:"In upper-case hex."`
	Fingerprint string    `json:"fingerprint" doc:"sha256:HEX of the certificate."`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// Checking is how a trust store knows revoked certificates.
type Checking struct {
	Sources []string `json:"sources" nullable:"false" doc:"Of its revocation lists: files and URLs."`
	Scope   string   `json:"scope" enum:"leaf,chain"`
	Missing string   `json:"missing" enum:"accept,refuse" doc:"For issuers without a list."`
	Stale   string   `json:"stale" enum:"accept,refuse" doc:"For issuers whose list is past its next update."`
	Revoked int      `json:"revoked" doc:"Certificates on its lists."`
}

// TrustStores returns all of them, by name.
func (c *Client) TrustStores(ctx context.Context) iter.Seq2[TrustStore, error] {
	return all[TrustStore](ctx, c, "/v1/trust-stores", nil)
}

// TrustStore returns one.
func (c *Client) TrustStore(ctx context.Context, name string) (*TrustStore, error) {
	var s TrustStore
	return &s, c.do(ctx, http.MethodGet, "/v1/trust-stores/"+url.PathEscape(name), nil, nil, &s)
}
