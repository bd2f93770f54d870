package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"countersign.dev"
	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/traffic/live"
	"countersign.dev/internal/wire/tlsname"
)

// Admitted has the connections of admitted clients: a traffic.Node.
type Admitted interface {
	List(q live.Query, after [16]byte, limit int) (some []live.Description, more bool)
	End(q live.Query, why *countersign.Denial) int
}

// Connections are those whose clients were admitted: over TLS, on the word of a
// balancer in front (client_auth mode proxied), or where bytes are passed on.
type Connections struct{ Admitted Admitted }

func (s Connections) register(a *API) {
	operation(a, http.MethodGet, "/connections", "list-connections", "The connections of admitted clients", s.list)
	operation(a, http.MethodDelete, "/connections", "close-connections", "Close connections", s.closeMany)
	operation(a, http.MethodDelete, "/connections/{id}", "close-connection", "Close a connection", s.closeOne)
}

// A Filter is a client.ConnectionFilter in a query.
type Filter struct {
	ID          string `query:"id" doc:"conn_trace_id in the logs."`
	Listener    string `query:"listener" maxLength:"64"`
	TrustStore  string `query:"trust_store" maxLength:"64"`
	Fingerprint string `query:"fingerprint" doc:"SHA-256 of the client's certificate: sha256:HEX."`
	Issuer      string `query:"issuer" maxLength:"4096" doc:"Of the client's certificate, as the logs write it."`
	Serial      string `query:"serial" maxLength:"128" doc:"Of the client's certificate, in hex."`
	Subject     string `query:"subject" maxLength:"4096" doc:"Of the client's certificate, as the logs write it; * stands for any text."`
	Client      string `query:"client" doc:"The client's address, or a prefix of addresses."`
	Target      string `query:"target" maxLength:"300" doc:"Where its bytes go, HOST:PORT; what carries requests goes to no target alone."`
}

func (s Connections) list(_ context.Context, in *struct {
	Filter
	Paging
}) (*client.Page[client.Connection], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	var after [16]byte
	if in.After != "" {
		if after, err = connectionID("query.after", in.After); err != nil {
			return nil, err
		}
	}
	some, more := s.Admitted.List(q, after, in.Limit)
	page := &client.Page[client.Connection]{Items: make([]client.Connection, len(some))}
	for i := range some {
		page.Items[i] = connection(&some[i])
	}
	if more {
		page.Next = page.Items[len(some)-1].ID
	}
	return page, nil
}

func (s Connections) closeMany(ctx context.Context, in *Filter) (*client.Closing, error) {
	if *in == (Filter{}) {
		return nil, refuse(http.StatusUnprocessableEntity, "filter_missing", "this would close every connection: say which, such as ?fingerprint=sha256:HEX or ?listener=NAME")
	}
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	return s.end(ctx, q), nil
}

func (s Connections) closeOne(ctx context.Context, in *struct {
	ID string `path:"id"`
}) (*client.Closing, error) {
	q, err := (&Filter{ID: in.ID}).query()
	if err != nil {
		return nil, err
	}
	done := s.end(ctx, q)
	if done.Closed == 0 {
		return nil, refuse(http.StatusNotFound, "connection_unknown", "no connection of an admitted client has the id %s: it may have ended", in.ID)
	}
	return done, nil
}

func (s Connections) end(ctx context.Context, q live.Query) *client.Closing {
	n := s.Admitted.End(q, countersign.Deny(countersign.StageAccept, countersign.ClosedByOperator, "an operator has closed the connection by the management API"))
	tell(ctx, "%d connections closed", n)
	return &client.Closing{Closed: n}
}

// query says which connections are meant.
func (f *Filter) query() (live.Query, error) {
	q := live.Query{Listener: f.Listener, TrustStore: f.TrustStore}
	var all []func(*live.Description) bool
	certificate := func(match func(*countersign.Identity) bool) {
		all = append(all, func(d *live.Description) bool { return d.Identity != nil && match(d.Identity) })
	}
	if f.ID != "" {
		id, err := connectionID("id", f.ID)
		if err != nil {
			return q, err
		}
		all = append(all, func(d *live.Description) bool { return d.ID == id })
	}
	if f.Fingerprint != "" {
		var wanted config.Fingerprint
		if err := wanted.UnmarshalText([]byte(strings.ToLower(f.Fingerprint))); err != nil {
			return q, wrong("query.fingerprint", f.Fingerprint, "expected sha256: with 64 hexadecimal digits")
		}
		certificate(func(id *countersign.Identity) bool { return id.Fingerprint == wanted })
	}
	if f.Serial != "" {
		wanted := strings.ToUpper(strings.ReplaceAll(f.Serial, ":", ""))
		if strings.Trim(strings.TrimPrefix(wanted, "-"), "0123456789ABCDEF") != "" {
			return q, wrong("query.serial", f.Serial, "expected hexadecimal digits")
		}
		wanted = plain(wanted)
		certificate(func(id *countersign.Identity) bool { return plain(id.Serial) == wanted })
	}
	if f.Issuer != "" {
		certificate(func(id *countersign.Identity) bool { return id.Issuer == f.Issuer })
	}
	if f.Subject != "" {
		// Of a pattern that has no other sign than *, which takes linear time.
		pattern, err := regexp.Compile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(f.Subject), `\*`, `.*`) + `\z`)
		if err != nil {
			return q, wrong("query.subject", f.Subject, err.Error())
		}
		certificate(func(id *countersign.Identity) bool { return pattern.MatchString(id.Subject) })
	}
	if f.Client != "" {
		prefix, err := netip.ParsePrefix(f.Client)
		if address, failed := netip.ParseAddr(f.Client); failed == nil {
			prefix, err = netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()), nil
		}
		if err != nil {
			return q, wrong("query.client", f.Client, "expected an address, or a prefix such as 10.0.0.0/8")
		}
		all = append(all, func(d *live.Description) bool { return prefix.Contains(d.Client.Addr().Unmap()) })
	}
	if f.Target != "" {
		all = append(all, func(d *live.Description) bool { return d.Target == f.Target })
	}
	if len(all) > 0 {
		q.Match = func(d *live.Description) bool {
			for _, match := range all {
				if !match(d) {
					return false
				}
			}
			return true
		}
	}
	return q, nil
}

// plain is a serial number without zeros in front.
func plain(serial string) string { return strings.TrimLeft(serial, "0") }

// wrong is a parameter that is not accepted.
func wrong(where, found, why string) *problem {
	p := refuse(http.StatusUnprocessableEntity, "invalid_request", "%s: %s", strings.TrimPrefix(where, "query."), why)
	p.Parameters = []client.Parameter{{Where: where, Found: found, Why: why}}
	return p
}

const idPrefix = "TID_" // as accesslog writes it

func connectionID(where, s string) (id [16]byte, err error) {
	digits, ok := strings.CutPrefix(s, idPrefix)
	raw, bad := hex.DecodeString(digits)
	if !ok || bad != nil || len(raw) != len(id) {
		return id, wrong(where, s, "expected TID_ with 32 hexadecimal digits, as conn_trace_id in the logs")
	}
	return [16]byte(raw), nil
}

func connection(d *live.Description) client.Connection {
	c := client.Connection{
		ID: idPrefix + hex.EncodeToString(d.ID[:]), Since: d.Accepted.UTC(), Client: d.Client.String(), Listener: d.Listener, TrustStore: d.TrustStore,
		ServerName: d.ServerName, TLSVersion: tlsname.Version(d.TLSVersion), TLSCipher: tlsname.Cipher(d.Cipher), ALPN: d.ALPN, Resumed: d.Resumed,
		TargetGroup: d.TargetGroup, Target: d.Target,
	}
	if id := d.Identity; id != nil {
		c.Certificate = &client.Certificate{Subject: id.Subject, Issuer: id.Issuer, Serial: id.Serial, Fingerprint: config.Fingerprint(id.Fingerprint).String(),
			NotBefore: id.NotBefore.UTC(), NotAfter: id.NotAfter.UTC()}
	}
	return c
}
