package api

import (
	"context"
	"net/http"

	"countersign.dev/client"
	"countersign.dev/internal/traffic/forward/upstream"
)

// TargetStatus has what is known of targets: an upstream.Fleet.
type TargetStatus interface {
	Status() []upstream.GroupStatus
}

// Targets are those of the target groups in force, with what they have to do.
type Targets struct{ Fleet TargetStatus }

func (s Targets) register(a *API) {
	operation(a, http.MethodGet, "/targets", "list-targets", "The targets in force, and what they have to do",
		func(_ context.Context, in *struct {
			TargetGroup string `query:"target_group" maxLength:"64" doc:"Those of this one."`
			Paging
		}) (*client.Page[client.Target], error) {
			key := func(t client.Target) string { return t.TargetGroup + "/" + t.Address + "/" + t.State }
			return pageOf(s.all(in.TargetGroup), key, in.Paging), nil
		})
}

func (s Targets) all(group string) (all []client.Target) {
	for _, g := range s.Fleet.Status() {
		if group != "" && g.Name != group {
			continue
		}
		for _, t := range g.Targets {
			all = append(all, target(g.Name, t))
		}
	}
	return all
}

func target(group string, t upstream.TargetStatus) client.Target {
	out := client.Target{
		TargetGroup: group, Address: t.Address, Zone: t.Zone, Weight: t.Weight, Share: t.Share,
		State: string(t.State), Code: string(t.Code), Reason: t.Reason, Since: t.Since.UTC(),
		EjectedUntil: instant(t.EjectedUntil), ConnectionsEnd: instant(t.ConnectionsEnd),
		SlowStart: t.SlowStart, Anomalous: t.Anomalous,
		InFlight: t.InFlight, Idle: t.Idle, ConnectErrors: t.ConnectErrors, Ejections: t.Ejections,
	}
	if t.Name != t.Address {
		out.Name = t.Name
	}
	return out
}
