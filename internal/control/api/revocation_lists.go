package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/control/source/origin"
)

// RevocationLists are those of the configuration in force.
type RevocationLists struct{ InForce InForce }

func (s RevocationLists) register(a *API) {
	operation(a, http.MethodGet, "/revocation-lists", "list-revocation-lists", "The revocation lists in force",
		func(_ context.Context, in *struct {
			TrustStore string `query:"trust_store" maxLength:"64" doc:"Those of this one."`
			Paging
		}) (*client.Page[client.RevocationList], error) {
			key := func(l client.RevocationList) string { return l.TrustStore + "/" + l.ID }
			return pageOf(s.all(in.TrustStore), key, in.Paging), nil
		})
}

func (s RevocationLists) all(store string) []client.RevocationList {
	draft := s.InForce.Status().Draft
	if draft == nil {
		return nil
	}
	var all []client.RevocationList
	seen := map[string]bool{}
	for name, lists := range draft.Lists {
		if store != "" && name != store {
			continue
		}
		for _, l := range lists {
			digest := l.Digest()
			out := client.RevocationList{
				ID: hex.EncodeToString(digest[:]), TrustStore: name, Source: l.Name, Issuer: nameOf(l.RawIssuer), Scope: l.Scope(),
				ThisUpdate: l.ThisUpdate.UTC(), NextUpdate: l.NextUpdate.UTC(), Stale: time.Now().After(l.NextUpdate), Revoked: l.Len(),
			}
			if strings.Contains(out.Source, "://") {
				out.Source = origin.Spec{URL: out.Source}.Name()
			}
			if l.Number != nil {
				out.Number = l.Number.String()
			}
			if l.Base != nil {
				out.Delta = l.Base.String()
			}
			if key := name + "/" + out.ID; !seen[key] { // one list in two files is one
				seen[key] = true
				all = append(all, out)
			}
		}
	}
	return all
}
