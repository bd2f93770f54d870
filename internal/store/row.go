package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"countersign.dev"
)

// Device is the new device that a row makes.
func (r Row) Device(at time.Time) countersign.Device {
	d := countersign.Device{ID: r.ID, State: r.State, Labels: r.Labels, Created: at}
	if d.State == "" {
		d.State = countersign.DeviceProvisioned
	}
	if r.Notes != nil {
		d.Notes = *r.Notes
	}
	return d
}

// Onto returns what the row makes of a known device, and what changes by it: ""
// is nothing.
func (r Row) Onto(d countersign.Device) (countersign.Device, string) {
	var what []string
	if r.Labels != nil && !maps.Equal(r.Labels, d.Labels) {
		what = append(what, LabelsDiffer(d.Labels, r.Labels))
		d.Labels = r.Labels
	}
	if r.Notes != nil && *r.Notes != d.Notes {
		what = append(what, "notes")
		d.Notes = *r.Notes
	}
	return d, strings.Join(what, "; ")
}

// LabelsDiffer says what changed in labels, in the order of their keys.
func LabelsDiffer(was, now map[string]string) string {
	both := maps.Clone(was)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, now)
	var what []string
	for _, k := range slices.Sorted(maps.Keys(both)) {
		before, had := was[k]
		after, has := now[k]
		switch {
		case !has:
			what = append(what, fmt.Sprintf("label %s=%s removed", k, before))
		case !had:
			what = append(what, fmt.Sprintf("label %s=%s", k, after))
		case before != after:
			what = append(what, fmt.Sprintf("label %s=%s, was %s", k, after, before))
		}
	}
	return strings.Join(what, "; ")
}
