package client

import (
	"context"
	"iter"
	"net/url"
	"time"
)

// A RevocationList is one that is in force.
type RevocationList struct {
	ID         string    `json:"id" doc:"SHA-256 of the list, in hex."`
	TrustStore string    `json:"trust_store"`
	Source     string    `json:"source" doc:"The file or URL that it is from."`
	Issuer     string    `json:"issuer" doc:"As RFC 2253 writes it."`
	Number     string    `json:"number,omitempty" doc:"In decimal; absent when it has none."`
	Delta      string    `json:"delta,omitempty" doc:"Number of the list that it changes, if it is a delta list."`
	Scope      string    `json:"scope,omitempty" doc:"Of which certificates it speaks, if not of all."`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Stale      bool      `json:"stale" doc:"It should have been replaced by now."`
	Revoked    int       `json:"revoked" doc:"Certificates on it."`
}

// RevocationLists returns those of a trust store; "" for all.
func (c *Client) RevocationLists(ctx context.Context, trustStore string) iter.Seq2[RevocationList, error] {
	q := url.Values{}
	if trustStore != "" {
		q.Set("trust_store", trustStore)
	}
	return all[RevocationList](ctx, c, "/v1/revocation-lists", q)
}
