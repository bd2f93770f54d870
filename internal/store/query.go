package store

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev"
)

// Scan bounds how many devices are looked at for one page.
const Scan = 1000

// BySeen reports whether the page is in the order of LastSeen.
func (q Query) BySeen() bool { return !q.SeenSince.IsZero() || !q.SeenBefore.IsZero() }

// Size is how many devices the page may hold.
func (q Query) Size() int {
	if q.Limit <= 0 {
		return 100
	}
	return min(q.Limit, MaxPage)
}

// LabelKeys returns the keys of Labels, in order.
func (q Query) LabelKeys() []string { return slices.Sorted(maps.Keys(q.Labels)) }

// AnyState returns the states to look for, each once.
func (q Query) AnyState() []countersign.State {
	if len(q.States) == 0 {
		return countersign.States()
	}
	return slices.Compact(slices.Sorted(slices.Values(q.States)))
}

// Takes reports whether a device is one of those that are asked for.
func (q Query) Takes(d *countersign.Device) bool {
	for k, v := range q.Labels {
		if got, ok := d.Labels[k]; !ok || got != v {
			return false
		}
	}
	return (len(q.States) == 0 || slices.Contains(q.States, d.State)) &&
		!d.LastSeen.Before(q.SeenSince) &&
		(q.SeenBefore.IsZero() || d.LastSeen.Before(q.SeenBefore))
}

// A Position is a place in a listing: behind this device.
type Position struct {
	Seen time.Time // only BySeen; zero is never
	ID   string
}

// Position reads After.
func (q Query) Position() (Position, error) {
	if q.After == "" {
		return Position{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(q.After)
	kind, rest, _ := strings.Cut(string(text), " ")
	switch {
	case err != nil:
	case kind == "id" && !q.BySeen():
		return Position{ID: rest}, nil
	case kind == "seen" && q.BySeen():
		ms, id, _ := strings.Cut(rest, " ")
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil {
			return Position{Seen: FromMilli(n), ID: id}, nil
		}
	}
	return Position{}, &Fault{Doing: "listing devices", Kind: ErrQuery, Err: fmt.Errorf("after=%s", q.After),
		Advice: "give next of the page before, with the same filters"}
}

// Next is After of the page that begins behind p.
func (q Query) Next(p Position) string {
	text := "id " + p.ID
	if q.BySeen() {
		text = fmt.Sprintf("seen %d %s", Milli(p.Seen), p.ID)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// Milli returns the milliseconds since 1970, and 0 for no time.
func Milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// FromMilli is the opposite of Milli.
func FromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
