package client

import (
	"context"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Device is one of the registry.
type Device struct {
	ID          string            `json:"id" doc:"In its one spelling."`
	State       string            `json:"state" enum:"provisioned,ready,active,suspended,revoked,retired"`
	Labels      map[string]string `json:"labels" nullable:"false"`
	Notes       string            `json:"notes"`
	Created     time.Time         `json:"created"`
	FirstSeen   *time.Time        `json:"first_seen,omitempty" doc:"Absent: never."`
	LastSeen    *time.Time        `json:"last_seen,omitempty" doc:"Sampled, not of every request. Absent: never."`
	LastAddress string            `json:"last_address,omitempty"`
}

// A DeviceFile is all that is known of one device.
type DeviceFile struct {
	Device
	Credentials []Credential `json:"credentials" nullable:"false" doc:"Its certificates, the latest first."`
	Trail       []TrailEntry `json:"trail" nullable:"false" doc:"What was done to it, in order."`
	TrailFault  string       `json:"trail_fault,omitempty" doc:"Where the trail was tampered with. Absent: nowhere."`
}

// A Credential is one certificate of a device.
type Credential struct {
	Serial      string    `json:"serial" doc:"In upper-case hex."`
	Fingerprint string    `json:"fingerprint" doc:"sha256:HEX."`
	Issuer      string    `json:"issuer" doc:"As RFC 2253 writes it."`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	State       string    `json:"state" enum:"valid,revoked" doc:"Whether it has expired is said by not_after."`
	Added       time.Time `json:"added"`
}

// A TrailEntry is something that was done to a device.
type TrailEntry struct {
	Number int64     `json:"number" doc:"Of the device's entries, from 1."`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	What   string    `json:"what" doc:"A verb of the API, or add, import, credential."`
	Why    string    `json:"why"`
	From   string    `json:"from" doc:"The state before; empty for a new device."`
	To     string    `json:"to" doc:"The state after."`
	Detail string    `json:"detail" doc:"What else changed."`
	Hash   string    `json:"hash" doc:"In hex, over the entry and the hash before it."`
}

// A NewDevice is a device to be added.
type NewDevice struct {
	ID     string            `json:"id" maxLength:"256" doc:"In any spelling."`
	State  string            `json:"state,omitempty" doc:"Default provisioned."`
	Labels map[string]string `json:"labels,omitempty"`
	Notes  string            `json:"notes,omitempty"`
	Why    string            `json:"why,omitempty" doc:"The trail keeps it."`
}

// A DeviceFilter says which devices are meant: those for which everything holds
// that is not empty.
type DeviceFilter struct {
	Labels     map[string]string
	States     []string // any of them
	SeenSince  time.Time
	SeenBefore time.Time // never is before everything
}

func (f DeviceFilter) query() url.Values {
	q := url.Values{}
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(f.Labels)) {
		labels = append(labels, k+"="+f.Labels[k])
	}
	if len(labels) > 0 {
		q.Set("labels", strings.Join(labels, ","))
	}
	if len(f.States) > 0 {
		q.Set("states", strings.Join(f.States, ","))
	}
	if !f.SeenSince.IsZero() {
		q.Set("seen_since", f.SeenSince.UTC().Format(time.RFC3339Nano))
	}
	if !f.SeenBefore.IsZero() {
		q.Set("seen_before", f.SeenBefore.UTC().Format(time.RFC3339Nano))
	}
	return q
}

// Devices returns those that f means, in the order of their ids; with SeenSince or
// SeenBefore in the order in which they were last seen.
func (c *Client) Devices(ctx context.Context, f DeviceFilter) iter.Seq2[Device, error] {
	q := f.query()
	q.Set("limit", strconv.Itoa(1000))
	return all[Device](ctx, c, "/v1/devices", q)
}

// Device returns all that is known of one device.
func (c *Client) Device(ctx context.Context, id string) (*DeviceFile, error) {
	var f DeviceFile
	return &f, c.do(ctx, http.MethodGet, "/v1/devices/"+url.PathEscape(id), nil, nil, &f)
}

// AddDevice provisions one device.
func (c *Client) AddDevice(ctx context.Context, d NewDevice) (*Device, error) {
	var made Device
	return &made, c.do(ctx, http.MethodPost, "/v1/devices", nil, d, &made)
}

// A Reason says why something is done.
type Reason struct {
	Why string `json:"why,omitempty" doc:"The trail keeps it. suspend, revoke and retire demand it."`
}

// ChangeDevice changes the state of a device: ready, suspend, resume, revoke,
// retire.
func (c *Client) ChangeDevice(ctx context.Context, id, verb, why string) (*Device, error) {
	var now Device
	return &now, c.do(ctx, http.MethodPost, "/v1/devices/"+url.PathEscape(id)+"/"+url.PathEscape(verb), nil, Reason{why}, &now)
}

// A DeviceImport says how a list is imported.
type DeviceImport struct {
	Format   string // csv or jsonlines
	Continue bool   // import the good lines though others are bad
	Why      string
}

// A DeviceImportReport is what came of an import.
type DeviceImportReport struct {
	Read      int           `json:"read" doc:"Lines with a device, good or bad."`
	Created   int           `json:"created"`
	Updated   int           `json:"updated"`
	Unchanged int           `json:"unchanged"`
	Refused   int           `json:"refused"`
	Lines     []RefusedLine `json:"lines" nullable:"false" doc:"Those that were refused, at most the first thousand."`
}

// A RefusedLine is a bad line of an import.
type RefusedLine struct {
	Line int    `json:"line" doc:"From 1."`
	Why  string `json:"why"`
}

// ImportDevices adds and updates the devices of a list. To import a list again
// changes nothing.
func (c *Client) ImportDevices(ctx context.Context, list io.Reader, how DeviceImport) (*DeviceImportReport, error) {
	q := url.Values{"format": {how.Format}}
	if how.Continue {
		q.Set("continue", "true")
	}
	if how.Why != "" {
		q.Set("why", how.Why)
	}
	var r DeviceImportReport
	return &r, c.send(ctx, http.MethodPost, "/v1/devices/import", q, "text/plain; charset=utf-8", list, &r)
}
