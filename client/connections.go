package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Connection is one whose client was admitted, and that is open.
type Connection struct {
	ID          string       `json:"id" doc:"conn_trace_id in the logs."`
	Since       time.Time    `json:"since" doc:"When it was accepted."`
	Client      string       `json:"client" doc:"Address and port."`
	Listener    string       `json:"listener"`
	TrustStore  string       `json:"trust_store,omitempty" doc:"Absent: no trust store verified the client."`
	ServerName  string       `json:"server_name,omitempty" doc:"What the client asked for."`
	TLSVersion  string       `json:"tls_version" doc:"Empty: TLS does not end here."`
	TLSCipher   string       `json:"tls_cipher"`
	ALPN        string       `json:"alpn,omitempty"`
	Resumed     bool         `json:"resumed" doc:"It continues an earlier session."`
	TargetGroup string       `json:"target_group,omitempty" doc:"Of target."`
	Target      string       `json:"target,omitempty" doc:"Where its bytes go, HOST:PORT. Absent: it carries requests, which may go to several."`
	Certificate *Certificate `json:"certificate,omitempty" doc:"Absent: the client showed none."`
}

// A Certificate is what a client showed. Without a trust store it is its own claim.
type Certificate struct {
	Subject     string    `json:"subject" doc:"As RFC 2253 writes it."`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial" doc:"In upper-case hex."`
	Fingerprint string    `json:"fingerprint" doc:"sha256:HEX."`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
}

// A ConnectionFilter says which connections are meant: those that have everything
// that is not empty.
type ConnectionFilter struct {
	ID          string
	Listener    string
	TrustStore  string
	Fingerprint string // sha256:HEX
	Issuer      string // as in Certificate
	Serial      string // in hex
	Subject     string // as in Certificate; * stands for any text
	Client      string // an address without port, or a prefix such as 10.0.0.0/8
	Target      string // HOST:PORT, of what passes bytes on
}

func (f ConnectionFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"id": f.ID, "listener": f.Listener, "trust_store": f.TrustStore, "fingerprint": f.Fingerprint,
		"issuer": f.Issuer, "serial": f.Serial, "subject": f.Subject, "client": f.Client, "target": f.Target,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Connections returns those that f means, in no particular order.
func (c *Client) Connections(ctx context.Context, f ConnectionFilter) iter.Seq2[Connection, error] {
	q := f.query()
	q.Set("limit", strconv.Itoa(1000))
	return all[Connection](ctx, c, "/v1/connections", q)
}

// Closing is what came of closing connections.
type Closing struct {
	Closed int `json:"closed" doc:"How many connections. They end now, or when what is under way is done; within a second."`
}

// CloseConnection closes one. Its client may connect anew.
func (c *Client) CloseConnection(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/connections/"+url.PathEscape(id), nil, nil, nil)
}

// CloseConnections closes those that f means, and returns how many there are. An
// empty filter is refused.
func (c *Client) CloseConnections(ctx context.Context, f ConnectionFilter) (int, error) {
	var done Closing
	err := c.do(ctx, http.MethodDelete, "/v1/connections", f.query(), nil, &done)
	return done.Closed, err
}
