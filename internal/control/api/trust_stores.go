package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/source/origin"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/wire/dn"
)

// InForce is what is asked about the configuration in force: a
// publish.Publisher.
type InForce interface{ Status() publish.Status }

// TrustStores are those of the configuration in force.
type TrustStores struct{ InForce InForce }

func (s TrustStores) register(a *API) {
	operation(a, http.MethodGet, "/trust-stores", "list-trust-stores", "The trust stores in force, by name",
		func(_ context.Context, in *struct{ Paging }) (*client.Page[client.TrustStore], error) {
			return pageOf(s.all(), func(t client.TrustStore) string { return t.Name }, in.Paging), nil
		})
	operation(a, http.MethodGet, "/trust-stores/{name}", "get-trust-store", "One trust store", s.one)
}

func (s TrustStores) one(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"64"`
}) (*client.TrustStore, error) {
	for _, t := range s.all() {
		if t.Name == in.Name {
			return &t, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "trust_store_unknown", "no trust store is called %q", in.Name)
}

func (s TrustStores) all() []client.TrustStore {
	draft := s.InForce.Status().Draft
	if draft == nil {
		return nil
	}
	var all []client.TrustStore
	for _, store := range draft.Stores {
		generation := store.Generation()
		t := client.TrustStore{Name: store.Name(), Generation: hex.EncodeToString(generation[:]), UsedBy: users(draft, store.Name())}
		for _, c := range store.Anchors() {
			t.Anchors = append(t.Anchors, client.Anchor{
				Subject: nameOf(c.RawSubject), Issuer: nameOf(c.RawIssuer), Serial: dn.Serial(c.SerialNumber), Fingerprint: fingerprint(c.Raw),
				NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
			})
		}
		i := slices.IndexFunc(draft.Config.TrustStores, func(ts config.TrustStore) bool { return ts.Name == t.Name })
		configured := draft.Config.TrustStores[i]
		t.Sources = names(configured.CABundle)
		if r := configured.Revocation; r != nil {
			t.Revocation = &client.Checking{Sources: names(r.CRLs), Scope: r.Scope, Missing: r.Missing, Stale: r.Stale}
			for _, l := range draft.Lists[t.Name] {
				t.Revocation.Revoked += l.Len()
			}
		}
		all = append(all, t)
	}
	return all
}

// users are the listeners whose clients a trust store verifies.
func users(draft *publish.Draft, store string) []string {
	out := []string{}
	for _, l := range draft.Config.Listeners {
		uses := l.ClientAuth.TrustStore == store
		for _, sn := range l.ServerNames {
			uses = uses || sn.ClientAuth.TrustStore == store
		}
		if uses {
			out = append(out, l.Name)
		}
	}
	if draft.Config.Node.Admin.TrustStore == store {
		out = append(out, "node.admin")
	}
	return out
}

// names are those of sources, without secrets.
func names(sources []config.Source) []string {
	out := []string{}
	for _, s := range sources {
		out = append(out, origin.Spec{URL: s.URL}.Name())
	}
	return out
}

// nameOf is a distinguished name as logs have it, so that one can be looked for in
// the other; quoted, if it is none.
func nameOf(der []byte) string {
	name, err := dn.String(der)
	if err != nil {
		return describe.Name(der)
	}
	return name
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}
