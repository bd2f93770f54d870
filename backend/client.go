package backend

import (
	"context"
	"crypto/x509"

	"countersign.dev"
)

// A Client is who asks. Handlers share it, and must not change it.
type Client struct {
	// Identity is what the client's certificate says: all of it if the client is
	// Verified, the Fingerprint alone if it is not, nothing if it is Anonymous.
	countersign.Identity
	// Verified: the gateway has verified the certificate against a trust store.
	Verified bool
	// Certificate is the client's own; nil in the dialect token, and if there is none.
	Certificate *x509.Certificate
	// Device is the client's, if the gateway tells.
	Device Device
}

// A Device is a client of which a registry keeps the state.
type Device struct {
	ID    string
	State string // "active" and the like; "" if it is not told
}

// Anonymous reports whether the client has shown no certificate.
func (c *Client) Anonymous() bool { return c.Fingerprint == [32]byte{} }

type contextKey struct{}

// Identity returns who asks, in a handler that Handler calls; nil elsewhere.
func Identity(ctx context.Context) *Client {
	c, _ := ctx.Value(contextKey{}).(*Client)
	return c
}

// WithIdentity returns a context in which Identity is c, for tests of handlers.
func WithIdentity(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}
