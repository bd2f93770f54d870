package device

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// Config is what a Registry needs.
type Config struct {
	Store *store.Store
	IDs   IDs
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Registry is the devices that there are.
type Registry struct {
	store *store.Store
	ids   IDs
	now   func() time.Time
}

// New makes a Registry.
func New(cfg Config) *Registry {
	r := &Registry{store: cfg.Store, ids: cfg.IDs, now: cfg.Now}
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// An Author says who does something, and why.
type Author struct {
	Who string // operator CN=ann, token:local, device AA:...
	Why string
}

// ErrRefused is that what was asked for is not possible as it was asked for.
var ErrRefused = errors.New("refused")

// A refusal says what is wrong with a request.
type refusal struct{ error }

func (r refusal) Unwrap() []error { return []error{ErrRefused, r.error} }

func (r *Registry) entry(by Author, what string) countersign.TrailEntry {
	return countersign.TrailEntry{Who: by.Who, Why: by.Why, What: what, At: r.now()}
}

// checkAuthor demands a name, and a reason where something is taken away.
func checkAuthor(by Author, what string) error {
	switch {
	case by.Who == "":
		return refusal{errors.New("nobody is named who does it")}
	case by.Why == "" && (what == "suspend" || what == "revoke" || what == "retire"):
		return refusal{fmt.Errorf("to %s a device takes a reason, which its trail keeps", what)}
	}
	if err := checkNotes(by.Why); err != nil {
		return refusal{fmt.Errorf("the reason: %w", err)}
	}
	return nil
}

// Normalize returns the one spelling of an id.
func (r *Registry) Normalize(id string) (string, error) {
	id, err := r.ids.Normalize(id)
	if err != nil {
		return "", refusal{err}
	}
	return id, nil
}

// Add provisions a device. Its state is provisioned unless d says another.
func (r *Registry) Add(ctx context.Context, by Author, d countersign.Device) (countersign.Device, error) {
	if err := checkAuthor(by, "add"); err != nil {
		return countersign.Device{}, err
	}
	row, err := r.row(d.ID, string(d.State), d.Labels, &d.Notes)
	if err != nil {
		return countersign.Device{}, refusal{err}
	}
	at := r.now()
	d = row.Device(at)
	e := r.entry(by, "add")
	if err := r.store.Devices.Create(ctx, d, e); err != nil {
		return countersign.Device{}, err
	}
	return r.store.Devices.Device(ctx, d.ID)
}

// row checks what somebody wrote of a device.
func (r *Registry) row(id, state string, labels map[string]string, notes *string) (store.Row, error) {
	id, err := r.ids.Normalize(id)
	if err != nil {
		return store.Row{}, err
	}
	row := store.Row{ID: id, State: countersign.State(state), Labels: labels, Notes: notes}
	if state != "" {
		if _, err := countersign.ParseState(state); err != nil {
			return store.Row{}, err
		}
	}
	if err := checkLabels(labels); err != nil {
		return store.Row{}, err
	}
	if notes != nil {
		return row, checkNotes(*notes)
	}
	return row, nil
}

// Do changes the state of a device by one of countersign.Transitions.
func (r *Registry) Do(ctx context.Context, by Author, verb, id string) (countersign.Device, error) {
	id, err := r.Normalize(id)
	if err != nil {
		return countersign.Device{}, err
	}
	if err := checkAuthor(by, verb); err != nil {
		return countersign.Device{}, err
	}
	return r.store.Devices.Update(ctx, id, func(d *store.Draft) error {
		change, err := countersign.Change(verb, d.Device.State)
		if err != nil {
			return refusal{fmt.Errorf("device %s: %w", id, err)}
		}
		d.Device.State, d.EndCredentials = change.To, change.EndsCredentials
		d.Entry = r.entry(by, verb)
		return nil
	})
}

// List returns one page.
func (r *Registry) List(ctx context.Context, q store.Query) (store.Page, error) {
	return r.store.Devices.List(ctx, q)
}

// A File is all that is known of one device.
type File struct {
	Device      countersign.Device
	Credentials []countersign.Credential // the latest first
	Trail       []countersign.TrailEntry // the first first
	// TrailFault says where the trail was tampered with; nil if nowhere.
	TrailFault error
}

// Show returns all that is known of one device, and checks its trail.
func (r *Registry) Show(ctx context.Context, id string) (File, error) {
	id, err := r.Normalize(id)
	if err != nil {
		return File{}, err
	}
	var f File
	if f.Device, err = r.store.Devices.Device(ctx, id); err != nil {
		return File{}, err
	}
	if f.Credentials, err = r.store.Credentials.Of(ctx, id); err != nil {
		return File{}, err
	}
	var chain store.Chain
	for {
		const piece = 500
		part, err := r.store.Trail.Of(ctx, id, int64(len(f.Trail)), piece)
		if err != nil {
			return File{}, err
		}
		for _, e := range part {
			if f.TrailFault == nil {
				f.TrailFault = chain.Check(e)
			}
		}
		f.Trail = append(f.Trail, part...)
		if len(part) < piece || f.TrailFault != nil {
			break
		}
	}
	// What was added between the two readings makes the trail longer, not shorter.
	if f.TrailFault == nil && chain.Length() < f.Device.Revision {
		f.TrailFault = fmt.Errorf("trail of %s: it has %d entries of %d: the last ones were taken out", id, chain.Length(), f.Device.Revision)
	}
	return f, nil
}
