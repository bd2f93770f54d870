package backend

import (
	"context"
	"crypto/x509"

	"countersign.dev"
)

// A Client is who asks. Handlers share it, and must not change it.
type Client struct {
	// Identity is what the client's certificate says: all of it if the client is
	// Verified, the Fingerprint alone if it is not, nothing if there is none.
	countersign.Identity
	// Verified: the gateway has verified the certificate against a trust store.
	Verified bool
	// VouchedBy is the address of a balancer in front of the gateway that has
	// verified the certificate in the gateway's place, and of which Identity may have
	// the Subject alone; "" of all others. The dialect token says so.
	VouchedBy string
	// Certificate is the client's own; nil in the dialect token, and if there is none.
	Certificate *x509.Certificate
	// Device is the client's, if the gateway tells.
	Device Device
	// Credential is what the request has shown beside a certificate, or in its place.
	Credential Credential
}

// A Credential is something that the gateway requires, and has found to hold. The
// zero Credential is none.
type Credential struct {
	Subject string // who it was: an id, a user, the subject of a JWT
	Type    string // api_key, basic, jwt
	Name    string // as the gateway calls it
}

// A Device is a client of which a registry keeps the state.
type Device struct {
	ID    string
	State string // "active" and the like; "" if it is not told
}

// Anonymous reports whether nothing is known of the client: it has shown neither a
// certificate nor a credential.
func (c *Client) Anonymous() bool { return !c.certified() && c.Credential == Credential{} }

// certified reports whether there is a certificate.
func (c *Client) certified() bool { return c.Verified || c.Fingerprint != [32]byte{} }

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
