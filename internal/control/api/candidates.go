package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"countersign.dev/client"
	"countersign.dev/internal/control/trust"
)

// Desk has the candidates of trust stores: a trust.Desk.
type Desk interface {
	Staged() ([]client.Candidate, error)
	Stage(ctx context.Context, store, source string, content []byte) (*client.Candidate, error)
	Diff(ctx context.Context, store string, limit int) (*client.Diff, error)
	Commit(ctx context.Context, store string, refuse int) (*client.Commit, error)
	Abort(store string) (*client.Candidate, error)
}

// Candidates are the bundles and lists that are staged.
type Candidates struct{ Desk Desk }

// largestCandidate bounds what is uploaded: five times the largest list that a
// configuration allows unless it says so.
const largestCandidate = 256 << 20

// OfStore names a trust store in a path.
type OfStore struct {
	Store string `path:"store" maxLength:"64" doc:"The trust store's name."`
}

func (c Candidates) register(a *API) {
	operation(a, http.MethodGet, "/candidates", "list-candidates", "What is staged, by trust store", c.list)
	c.upload(a)
	c.compare(a)
	operation(a, http.MethodPost, "/candidates/{store}/commit", "commit-candidate", "Put it into its place and into force", c.commit)
	operation(a, http.MethodDelete, "/candidates/{store}", "abort-candidate", "Forget it", c.abort)
}

func (c Candidates) list(_ context.Context, in *struct{ Paging }) (*client.Page[client.Candidate], error) {
	all, err := c.Desk.Staged()
	if err != nil {
		return nil, notDone(err)
	}
	return pageOf(all, func(c client.Candidate) string { return c.TrustStore }, in.Paging), nil
}

// upload is the one operation with a body that is no JSON.
func (c Candidates) upload(a *API) {
	type input struct {
		OfStore
		For     string `query:"for" maxLength:"4096" doc:"The file or URL whose place it would take; may be left out where the trust store has one of the kind."`
		RawBody []byte `contentType:"application/octet-stream" doc:"A CA bundle, PEM, or revocation lists, PEM or DER."`
	}
	op := huma.Operation{
		Method: http.MethodPut, Path: "/v1/candidates/{store}", OperationID: "stage-candidate", Tags: []string{"candidates"},
		Summary:      "Stage a CA bundle or revocation lists, which a reload has to be able to take",
		Responses:    map[string]*huma.Response{"default": a.wrong},
		Security:     []map[string][]string{{"token": {}}, {"certificate": {}}},
		MaxBodyBytes: largestCandidate, BodyReadTimeout: longestChange,
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *input) (*answer[client.Candidate], error) {
		staged, err := c.Desk.Stage(ctx, in.Store, in.For, in.RawBody)
		if err != nil {
			return nil, notDone(err)
		}
		tell(ctx, "a %s of %d bytes with SHA-256 %s for %s", staged.Kind, staged.Size, staged.SHA256, staged.For)
		return &answer[client.Candidate]{*staged}, nil
	})
}

// compare may ask a hundred thousand clients, for which the address does not wait
// otherwise.
func (c Candidates) compare(a *API) {
	type input struct {
		OfStore
		Limit int `query:"limit" minimum:"0" maximum:"100000" default:"100" doc:"How many clients are named, of each sort."`
	}
	op := huma.Operation{
		Method: http.MethodGet, Path: "/v1/candidates/{store}/diff", OperationID: "diff-candidate", Tags: []string{"candidates"},
		Summary:   "What would become of clients if it came into force",
		Responses: map[string]*huma.Response{"default": a.wrong},
		Security:  []map[string][]string{{"token": {}}, {"certificate": {}}},
		Middlewares: huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
			_, w := humago.Unwrap(ctx)
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(longestChange)) // best effort
			next(ctx)
		}},
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *input) (*answer[client.Diff], error) {
		d, err := c.Desk.Diff(ctx, in.Store, in.Limit)
		if err != nil {
			return nil, notDone(err)
		}
		return &answer[client.Diff]{*d}, nil
	})
}

func (c Candidates) commit(ctx context.Context, in *struct {
	OfStore
	Refuse int `query:"refuse" minimum:"0" default:"0" doc:"The most clients that may be refused by it that are accepted today: the number that the diff gave."`
}) (*client.Commit, error) {
	done, err := c.Desk.Commit(ctx, in.Store, in.Refuse)
	if err != nil {
		return nil, notDone(err)
	}
	tell(ctx, "%s has SHA-256 %s since snapshot %d; what it was is %s; of %d clients asked, %d are refused, %d of them were connected",
		done.File, done.Diff.Candidate.SHA256, done.Snapshot, done.Kept, done.Diff.Asked, done.Diff.Refused, done.Diff.Cut)
	return done, nil
}

func (c Candidates) abort(ctx context.Context, in *OfStore) (*client.Candidate, error) {
	gone, err := c.Desk.Abort(in.Store)
	if err != nil {
		return nil, notDone(err)
	}
	tell(ctx, "the %s with SHA-256 %s for %s is forgotten", gone.Kind, gone.SHA256, gone.For)
	return gone, nil
}

// notDone turns a trust.Refusal into a problem.
func notDone(err error) error {
	r, ok := errors.AsType[*trust.Refusal](err)
	if !ok {
		return refuse(http.StatusInternalServerError, "internal", "%v", err)
	}
	status := http.StatusUnprocessableEntity
	switch r.Code {
	case trust.StoreUnknown, trust.NothingStaged:
		status = http.StatusNotFound
	case trust.BaseChanged, trust.WouldRefuse, trust.Remote, trust.NoDataDir:
		status = http.StatusConflict
	case trust.NotReplaced:
		status = http.StatusInternalServerError
	}
	p := refuse(status, string(r.Code), "%s", r.Detail)
	if len(r.Faults) > 0 {
		p.Faults = faultsOf(r.Faults)
	}
	return p
}
