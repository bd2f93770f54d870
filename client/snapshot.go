package client

import (
	"context"
	"net/http"
	"time"
)

// A Snapshot is the configuration in force.
type Snapshot struct {
	Number        uint64     `json:"number" doc:"Counts what came into force since the program started."`
	Since         time.Time  `json:"since" doc:"When it came into force."`
	Configuration string     `json:"configuration" doc:"The file."`
	Version       string     `json:"version" doc:"Of the program."`
	Draining      bool       `json:"draining" doc:"The node is being stopped."`
	Connections   int        `json:"connections" doc:"That the node holds, of all listeners."`
	Listeners     []Listener `json:"listeners" nullable:"false"`
	Sources       []Source   `json:"sources" nullable:"false" doc:"That are fetched. Files are read when they change."`
	LastReload    Reload     `json:"last_reload"`
}

// A Listener is one of the snapshot's.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address" doc:"As configured."`
	Bound   string `json:"bound,omitempty" doc:"The address it has."`
	TLS     bool   `json:"tls"`
}

// A Source is where a bundle or a revocation list is fetched from.
type Source struct {
	Name     string     `json:"name" doc:"The URL, without secrets."`
	Good     bool       `json:"good" doc:"What is in force is what the last fetch found."`
	Fetched  *time.Time `json:"fetched,omitempty" doc:"When what is in force was fetched."`
	Checked  *time.Time `json:"checked,omitempty" doc:"When it was last known to be what the server has."`
	Due      *time.Time `json:"due,omitempty" doc:"When it is asked for again."`
	Failures uint64     `json:"failures" doc:"Since the program started."`
	Fault    string     `json:"fault,omitempty" doc:"Why the last fetch failed, or what it brought is refused."`
}

// A Reload is the last attempt to put a configuration into force.
type Reload struct {
	At       time.Time `json:"at"`
	Because  string    `json:"because" doc:"What brought it about."`
	Accepted bool      `json:"accepted" doc:"It is in force. Else the one before still is."`
	Error    string    `json:"error,omitempty" doc:"Why not, when it was no fault of the configuration."`
	Faults   []Fault   `json:"faults" nullable:"false" doc:"Why not; warnings, when it was accepted."`
}

// Snapshot returns what is in force, and what came of the last reload.
func (c *Client) Snapshot(ctx context.Context) (*Snapshot, error) {
	var s Snapshot
	return &s, c.do(ctx, http.MethodGet, "/v1/snapshot", nil, nil, &s)
}

// Reload has the configuration read again. It returns what is in force then, or
// a Problem with the code configuration_refused, with the faults.
func (c *Client) Reload(ctx context.Context) (*Snapshot, error) {
	var s Snapshot
	return &s, c.do(ctx, http.MethodPost, "/v1/snapshot/reload", nil, nil, &s)
}
