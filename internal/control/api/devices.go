package api

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/client"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/store"
)

// Devices are those of the registry.
type Devices struct {
	// Registry returns the one in use; nil: the configuration has none.
	Registry func() *device.Registry
}

func (s Devices) register(a *API) {
	operation(a, http.MethodGet, "/devices", "list-devices", "Devices, by id or by when they were last seen", s.list)
	operation(a, http.MethodPost, "/devices", "add-device", "Provision a device", s.add)
	operation(a, http.MethodGet, "/devices/{id}", "get-device", "All that is known of a device", s.show)
	operation(a, http.MethodPost, "/devices/{id}/{verb}", "change-device", "Change the state of a device", s.change)
	s.registerImport(a)
}

func (s Devices) registry() (*device.Registry, error) {
	if r := s.Registry(); r != nil {
		return r, nil
	}
	return nil, refuse(http.StatusNotFound, "devices_off", "there is no registry of devices: the configuration has no devices, or had none when the program started")
}

// A DeviceFilter is a client.DeviceFilter in a query.
type DeviceFilter struct {
	Labels     []string  `query:"labels" doc:"Labels that a device must all have: key=value,key=value."`
	States     []string  `query:"states" doc:"States of which it has any."`
	SeenSince  time.Time `query:"seen_since" doc:"It was last seen then or later."`
	SeenBefore time.Time `query:"seen_before" doc:"It was last seen before, or never."`
}

func (f *DeviceFilter) query() (store.Query, error) {
	q := store.Query{SeenSince: f.SeenSince, SeenBefore: f.SeenBefore}
	if len(f.Labels) > 0 {
		var err error
		if q.Labels, err = device.ParseLabels(strings.Join(f.Labels, ";")); err != nil {
			return q, wrong("query.labels", strings.Join(f.Labels, ","), err.Error())
		}
	}
	for _, word := range f.States {
		state, err := countersign.ParseState(word)
		if err != nil {
			return q, wrong("query.states", word, err.Error())
		}
		q.States = append(q.States, state)
	}
	return q, nil
}

func (s Devices) list(ctx context.Context, in *struct {
	DeviceFilter
	Paging
}) (*client.Page[client.Device], error) {
	r, err := s.registry()
	if err != nil {
		return nil, err
	}
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	q.Limit, q.After = in.Limit, in.After
	found, err := r.List(ctx, q)
	if err != nil {
		return nil, deviceProblem(err)
	}
	page := &client.Page[client.Device]{Items: make([]client.Device, len(found.Devices)), Next: found.Next}
	for i := range found.Devices {
		page.Items[i] = deviceOf(&found.Devices[i])
	}
	return page, nil
}

func (s Devices) add(ctx context.Context, in *struct{ Body client.NewDevice }) (*client.Device, error) {
	r, err := s.registry()
	if err != nil {
		return nil, err
	}
	d := countersign.Device{ID: in.Body.ID, State: countersign.State(in.Body.State), Labels: in.Body.Labels, Notes: in.Body.Notes}
	return one(r.Add(ctx, authorOf(ctx, in.Body.Why), d))
}

func (s Devices) change(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"256"`
	Verb string `path:"verb" enum:"ready,suspend,resume,revoke,retire"`
	Body client.Reason
}) (*client.Device, error) {
	r, err := s.registry()
	if err != nil {
		return nil, err
	}
	return one(r.Do(ctx, authorOf(ctx, in.Body.Why), in.Verb, in.ID))
}

func one(d countersign.Device, err error) (*client.Device, error) {
	if err != nil {
		return nil, deviceProblem(err)
	}
	out := deviceOf(&d)
	return &out, nil
}

func (s Devices) show(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"256"`
}) (*client.DeviceFile, error) {
	r, err := s.registry()
	if err != nil {
		return nil, err
	}
	f, err := r.Show(ctx, in.ID)
	if err != nil {
		return nil, deviceProblem(err)
	}
	out := &client.DeviceFile{Device: deviceOf(&f.Device), Credentials: []client.Credential{}, Trail: []client.TrailEntry{}}
	for _, c := range f.Credentials {
		out.Credentials = append(out.Credentials, client.Credential{Serial: c.Serial, Fingerprint: "sha256:" + hex.EncodeToString(c.Fingerprint[:]),
			Issuer: c.Issuer, NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: string(c.State), Added: c.Added})
	}
	for _, e := range f.Trail {
		out.Trail = append(out.Trail, client.TrailEntry{Number: e.Number, At: e.At, Who: e.Who, What: e.What, Why: e.Why,
			From: string(e.From), To: string(e.To), Detail: e.Detail, Hash: hex.EncodeToString(e.Hash[:])})
	}
	if f.TrailFault != nil {
		out.TrailFault = f.TrailFault.Error()
	}
	return out, nil
}

func deviceOf(d *countersign.Device) client.Device {
	out := client.Device{ID: d.ID, State: string(d.State), Labels: d.Labels, Notes: d.Notes, Created: d.Created}
	if out.Labels == nil {
		out.Labels = map[string]string{}
	}
	for to, from := range map[**time.Time]*time.Time{&out.FirstSeen: &d.FirstSeen, &out.LastSeen: &d.LastSeen} {
		if !from.IsZero() {
			*to = from
		}
	}
	if d.LastAddress.IsValid() {
		out.LastAddress = d.LastAddress.String()
	}
	return out
}

type whoKey struct{}

// authorOf is who makes the change under way.
func authorOf(ctx context.Context, why string) device.Author {
	who, _ := ctx.Value(whoKey{}).(string)
	return device.Author{Who: who, Why: why}
}

// deviceProblem says what an error of the registry is to a caller.
func deviceProblem(err error) error {
	for _, c := range []struct {
		kind   error
		status int
		code   string
	}{
		{device.ErrRefused, http.StatusUnprocessableEntity, "device_refused"},
		{store.ErrUnknown, http.StatusNotFound, "device_unknown"},
		{store.ErrExists, http.StatusConflict, "device_exists"},
		{store.ErrQuery, http.StatusUnprocessableEntity, "invalid_request"},
		{store.ErrBusy, http.StatusServiceUnavailable, "store_busy"},
		{store.ErrAway, http.StatusServiceUnavailable, "store_away"},
		{store.ErrFull, http.StatusInsufficientStorage, "store_full"},
	} {
		if errors.Is(err, c.kind) {
			return refuse(c.status, c.code, "%v", err)
		}
	}
	return refuse(http.StatusInternalServerError, "store_failed", "%v", err)
}
