package client

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Candidate is a bundle or a file of revocation lists that was staged: it may
// take the place of one that a trust store has.
type Candidate struct {
	TrustStore string    `json:"trust_store"`
	Kind       string    `json:"kind" enum:"bundle,list"`
	For        string    `json:"for" doc:"The file or URL whose place it would take."`
	Remote     bool      `json:"remote,omitempty" doc:"It would take the place of what a URL has, which cannot be done here: publish it there."`
	SHA256     string    `json:"sha256" doc:"Of its content, in hex."`
	Size       int       `json:"size" doc:"In bytes."`
	Base       string    `json:"base" doc:"SHA-256, in hex, of what was there when it was staged."`
	StagedAt   time.Time `json:"staged_at"`
	Warnings   []string  `json:"warnings,omitempty" nullable:"false" doc:"What is worth a look, but keeps nobody from committing it."`
}

// A Diff is what would become of clients if a candidate came into force: those
// who are connected, and those whom the node remembers.
type Diff struct {
	Candidate Candidate `json:"candidate"`

	Asked     int `json:"asked" doc:"Certificates that were held against the candidate: of whoever is connected or remembered."`
	Connected int `json:"connected" doc:"Those of them that are connected."`
	Accepted  int `json:"accepted" doc:"Would be accepted."`
	Refused   int `json:"refused" doc:"Would be refused, and are accepted today. Replaced ones are not among them."`
	Cut       int `json:"cut" doc:"Those of them that are connected, and would lose their connections."`
	Already   int `json:"already_refused" doc:"Would be refused, and are refused today."`
	Admitted  int `json:"admitted" doc:"Would be accepted, and are refused today: of those who were seen, and of the 256 who were refused last."`
	Replaced  int `json:"replaced" doc:"Would be refused, but their holders have come with a newer certificate since, which would be accepted."`

	Codes map[string]int `json:"codes" doc:"Why, of those refused: how many for each code."`

	// Each has a bounded number; the counts above are right.
	RefusedClients  []DiffClient `json:"refused_clients" nullable:"false" doc:"Connected ones first, then those seen last; not more than limit."`
	AdmittedClients []DiffClient `json:"admitted_clients" nullable:"false" doc:"Not more than limit."`
	ReplacedClients []DiffClient `json:"replaced_clients" nullable:"false" doc:"Not more than limit."`

	Anchors []DiffAnchor `json:"anchors" nullable:"false" doc:"Of the trust store: those of today and those of the candidate."`
	Lists   []DiffList   `json:"lists" nullable:"false" doc:"Of the trust store, if the candidate is a list."`
	Notes   []string     `json:"notes" nullable:"false" doc:"What the numbers do not say, for people."`
}

// A DiffClient is a client whose standing would change.
type DiffClient struct {
	Subject     string    `json:"subject" doc:"As RFC 2253 writes it."`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial" doc:"In upper-case hex."`
	Fingerprint string    `json:"fingerprint" doc:"sha256:HEX of the certificate."`
	NotAfter    time.Time `json:"not_after"`
	Listener    string    `json:"listener" doc:"Where it is connected, or was last."`
	Connected   bool      `json:"connected"`
	LastSeen    time.Time `json:"last_seen" doc:"Now, if it is connected."`
	Code        string    `json:"code" doc:"Why it would be refused; of one that would be accepted, why it is refused today."`
	Reason      string    `json:"reason" doc:"The same, for people."`
}

// A DiffAnchor is a CA certificate of a trust store today, or with a candidate.
type DiffAnchor struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial" doc:"In upper-case hex."`
	Fingerprint string    `json:"fingerprint"`
	NotAfter    time.Time `json:"not_after"`
	Change      string    `json:"change" enum:"added,removed,kept"`
	// Clients are counted where their path ends, which is one anchor of perhaps several.
	Clients   int       `json:"clients" doc:"How many clients' paths would end there; of a removed one, end there today."`
	Connected int       `json:"connected" doc:"How many of them are connected."`
	Unused    bool      `json:"unused" doc:"Nobody who is connected or remembered would need it."`
	LastUsed  time.Time `json:"last_used,omitzero" doc:"When a client was last seen whose path ended there; absent: the node remembers none."`
	Relations []string  `json:"relations,omitempty" nullable:"false" doc:"To other anchors: the same name with another key, the same key under another issuer."`
}

// A DiffList is a revocation list of a trust store today, or with a candidate.
type DiffList struct {
	Issuer     string    `json:"issuer"`
	Scope      string    `json:"scope,omitempty" doc:"The part of its issuer's certificates that it speaks for; absent: all."`
	Delta      bool      `json:"delta,omitempty"`
	Change     string    `json:"change" enum:"added,replaced,removed,kept"`
	Number     string    `json:"number,omitempty"`
	Before     string    `json:"number_before,omitempty" doc:"Of the list whose place it takes."`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Entries    int       `json:"entries"`
	Added      int       `json:"entries_added"`
	Removed    int       `json:"entries_removed"`
}

// A Commit is what came of putting a candidate into its place.
type Commit struct {
	Diff     Diff   `json:"diff" doc:"As it was when the candidate was committed."`
	File     string `json:"file" doc:"What was replaced."`
	Kept     string `json:"kept" doc:"Where what was there is now: rename it to FILE to go back."`
	Snapshot uint64 `json:"snapshot" doc:"The number of the snapshot in force since."`
}

// Candidates returns those that are staged, by trust store.
func (c *Client) Candidates(ctx context.Context) iter.Seq2[Candidate, error] {
	return all[Candidate](ctx, c, "/v1/candidates", nil)
}

// Stage stages content for a trust store, in the place of one staged before.
// source is the file or URL whose place it takes; "" if there is only one of its kind.
func (c *Client) Stage(ctx context.Context, store, source string, content []byte) (*Candidate, error) {
	query := url.Values{}
	if source != "" {
		query.Set("for", source)
	}
	var staged Candidate
	return &staged, c.send(ctx, http.MethodPut, candidatePath(store), query, "application/octet-stream", bytes.NewReader(content), &staged)
}

// Diff says what would become of clients; limit bounds how many are named, 0: 100.
func (c *Client) Diff(ctx context.Context, store string, limit int) (*Diff, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var d Diff
	return &d, c.do(ctx, http.MethodGet, candidatePath(store)+"/diff", query, nil, &d)
}

// Commit puts what is staged for a trust store into its place. It is refused if
// more than refuse clients would be refused by it that are accepted today.
func (c *Client) Commit(ctx context.Context, store string, refuse int) (*Commit, error) {
	var done Commit
	return &done, c.do(ctx, http.MethodPost, candidatePath(store)+"/commit", url.Values{"refuse": {strconv.Itoa(refuse)}}, nil, &done)
}

// Abort forgets what is staged for a trust store.
func (c *Client) Abort(ctx context.Context, store string) (*Candidate, error) {
	var gone Candidate
	return &gone, c.do(ctx, http.MethodDelete, candidatePath(store), nil, nil, &gone)
}

func candidatePath(store string) string { return "/v1/candidates/" + url.PathEscape(store) }
