package respond

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"

	"countersign.dev/internal/traffic/identify"
)

// MaxBody is the most that a request to the node itself may carry, in bytes.
const MaxBody = 64 << 10

// A Request is what the node is asked.
type Request struct {
	Method string
	// Path is as it was sent, Query without its "?".
	Path, Query string
	Header      http.Header
	Body        []byte // all of it
	// Client is to whom the answer was granted: the proof of who asks. Chain leads from
	// its certificate to the anchor; nil: it was not verified.
	Client identify.Client
	Chain  []*x509.Certificate
	// Address is where the request came from.
	Address netip.Addr
}

// An Answer is what the client gets.
type Answer struct {
	Status int
	// Kind is the Content-Type; "" with an empty Body.
	Kind string
	Body []byte
	// Fields are further ones, each name with its value. Neither has a control
	// character in it.
	Fields [][2]string
}

// A Handler answers. It is called for many requests at once. What it is given is
// its own, for as long as it answers.
type Handler interface {
	Respond(ctx context.Context, q *Request) Answer
}
