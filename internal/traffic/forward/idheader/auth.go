package idheader

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
)

// The fields by which a target is told what a client has shown beside a
// certificate, or in its place. No client may send them, anywhere.
const (
	authSubject    = "X-Auth-Subject"
	authType       = "X-Auth-Type"
	authCredential = "X-Auth-Credential"
)

// A Credential is what a request has shown, and what was found to hold.
type Credential struct {
	Subject string `json:"subject"` // who it was: an id, a user, the subject of a token
	Type    string `json:"type"`    // api_key, basic, jwt
	Name    string `json:"name"`    // as configured
}

// Credential appends to what Render made the fields that say who a request has
// shown to be: X-Auth-..., and those of the operator's own that speak of it.
// Bytes that cannot stand in a field are percent-encoded. It denies as Render
// does.
func (p *Plan) Credential(dst []byte, client identify.Client, conn Connection, shown Credential) ([]byte, *countersign.Denial) {
	o := output{dst: dst, size: len(dst), limits: Limits{Header: 16 << 10, Headers: 64 << 10}, client: client, conn: conn, shown: &shown, standing: standingOf(client)}
	if p != nil {
		o.limits = p.limits
	}
	o.set(authSubject, appendText(nil, shown.Subject))
	o.set(authType, appendText(nil, shown.Type))
	o.set(authCredential, appendText(nil, shown.Name))
	if p != nil {
		for _, h := range p.own {
			if h.authenticates {
				h.render(&o)
			}
		}
	}
	if o.denial != nil {
		return dst, o.denial
	}
	return o.dst, nil
}
