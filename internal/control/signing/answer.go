package signing

import (
	"context"
	"net/http"

	"countersign.dev/internal/traffic/respond"
)

// MediaType is that of a JWK Set (RFC 7517 section 8.5.1).
const MediaType = "application/jwk-set+json"

// fresh is how long a set may be kept. The next key is in it long before it signs,
// so that only a node's very first key can be missing from a copy.
const fresh = "public, max-age=300"

// A Publication answers with the JWK Set of a node: at its admin address, and at a
// path of listeners.
type Publication struct {
	Set func() []byte // nil is returned while there are no keys
}

// Respond is respond.Handler's.
func (p Publication) Respond(_ context.Context, q *respond.Request) respond.Answer {
	set := p.Set()
	switch {
	case q.Method != http.MethodGet && q.Method != http.MethodHead:
		return respond.Answer{Status: http.StatusMethodNotAllowed, Fields: [][2]string{{"Allow", "GET, HEAD"}}}
	case set == nil:
		return respond.Answer{Status: http.StatusNotFound}
	}
	return respond.Answer{Status: http.StatusOK, Kind: MediaType, Body: set, Fields: [][2]string{{"Cache-Control", fresh}}}
}

// ServeHTTP is http.Handler's.
func (p Publication) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	set := p.Set()
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
	case set == nil:
		http.Error(w, "no listener has identity_headers: [token], so that there are no keys", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", MediaType)
		w.Header().Set("Cache-Control", fresh)
		w.Write(set)
	}
}
