package api

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"countersign.dev/client"
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/source"
)

// Configuration is where snapshots come from: a publish.Publisher.
type Configuration interface {
	Status() publish.Status
	Sources() []source.State
	Reload(context.Context) error
}

// Node is what serves them: a traffic.Node.
type Node interface {
	Addresses() map[string]net.Addr
	Connections() int
	Draining() bool
}

// Snapshot is the configuration in force, and what came of the last attempt to
// replace it.
type Snapshot struct {
	Configuration Configuration
	Node          Node
	Version       string
}

type nothing struct{}

func (s Snapshot) register(a *API) {
	operation(a, http.MethodGet, "/snapshot", "get-snapshot", "What is in force, and what came of the last reload",
		func(context.Context, *nothing) (*client.Snapshot, error) { return s.now(), nil })
	operation(a, http.MethodPost, "/snapshot/reload", "reload-snapshot", "Read the configuration again, and put it into force if it is good", s.reload)
}

func (s Snapshot) now() *client.Snapshot {
	status := s.Configuration.Status()
	out := &client.Snapshot{
		Number: status.Number, Since: status.Since.UTC(), Version: s.Version,
		Draining: s.Node.Draining(), Connections: s.Node.Connections(),
		Listeners: []client.Listener{}, Sources: []client.Source{},
		LastReload: client.Reload{At: status.Last.At.UTC(), Because: status.Last.Because,
			Accepted: status.Last.Err == nil, Faults: faultsOf(status.Last.Faults)},
	}
	if err := status.Last.Err; err != nil && len(status.Last.Faults) == 0 {
		out.LastReload.Error = err.Error()
	}
	if status.Draft != nil {
		out.Configuration = status.Draft.Config.Files()[0]
		bound := s.Node.Addresses()
		for _, l := range status.Draft.Listeners {
			listener := client.Listener{Name: l.Name, Address: l.Address, TLS: l.TLS != nil}
			if at := bound[l.Address]; at != nil {
				listener.Bound = at.String()
			}
			out.Listeners = append(out.Listeners, listener)
		}
	}
	for _, state := range s.Configuration.Sources() {
		out.Sources = append(out.Sources, client.Source{Name: state.Name, Good: state.Fault == "", Fault: state.Fault, Failures: state.Failures,
			Fetched: instant(state.Fetched), Checked: instant(state.Checked), Due: instant(state.Due)})
	}
	return out
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (s Snapshot) reload(ctx context.Context, _ *nothing) (*client.Snapshot, error) {
	err := s.Configuration.Reload(ctx)
	if err == nil {
		out := s.now()
		tell(ctx, "snapshot %d is in force", out.Number)
		return out, nil
	}
	p := refuse(http.StatusUnprocessableEntity, "configuration_refused", "the configuration is refused, and what was in force still is: %v", err)
	if faults, ok := errors.AsType[config.Faults](err); ok {
		p.Faults = faultsOf(faults)
		p.Detail = "the configuration is refused, and what was in force still is; faults has the reasons"
	}
	return nil, p
}

func faultsOf(faults config.Faults) []client.Fault {
	out := []client.Fault{}
	for _, f := range faults {
		out = append(out, client.Fault{File: f.File, Line: f.Line, Column: f.Column, Path: f.Path,
			Found: cmp.Or(f.Found, "something that is not accepted"), Expected: f.Expected, Hint: f.Hint, Warning: f.Warning, Text: f.String()})
	}
	return out
}
