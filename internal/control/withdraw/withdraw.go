package withdraw

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/lists"
	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/store"
)

// An Authority is asked what it has issued, and to revoke. *ca.Authority is one.
type Authority interface {
	Status(ctx context.Context, serial string) (ledger.Certificate, bool, error)
	Revoke(serial *big.Int, reason crl.Reason, at time.Time) (ca.Revocation, error)
	CRL(lifetime time.Duration) (lists.Published, error) // signs the lists anew
}

// Config is what Follow needs.
type Config struct {
	Devices     store.Devices
	Credentials store.Credentials
	Changes     store.Changes
	// Authorities are those in use at the moment.
	Authorities func() []Authority
	// Place is the file that the place in the change log is kept in. It is the
	// node's own. "": none, and everything is looked at after each start.
	Place string
	// Gather is how long to wait for more when a device has been cut off: a list is
	// signed whole each time, and listeners that enforce know at once. 0: 5s.
	Gather time.Duration
	Logger *slog.Logger
}

const (
	interval = 200 * time.Millisecond // between two looks at the change log
	pause    = 5 * time.Second        // after a failure
)

// A follower is Follow at work.
type follower struct {
	Config
	sure bool         // whatever is on record as revoked is on a list, too
	at   store.Cursor // without a file
}

// Follow works until ctx ends.
func Follow(ctx context.Context, cfg Config) {
	f, failing := &follower{Config: cfg}, false
	for ctx.Err() == nil {
		err := f.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			f.sure = false
			cfg.Logger.Error("certificates of devices that were cut off are not on their authority's list yet; it is tried again and again", "error", err)
		case err == nil && failing:
			cfg.Logger.Info("the authority's lists follow the registry again")
		}
		failing = err != nil
		// Not by Changes.Wait: nothing here is in a hurry, and the calls are the
		// mirror's, on which live connections wait.
		wait := interval
		if failing {
			wait = pause
		}
		rest(ctx, wait)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// step does what is to be done for whatever has changed since the place that is
// kept, and keeps the next one.
func (f *follower) step(ctx context.Context) error {
	if len(f.Authorities()) == 0 {
		return nil // whoever comes later finds the place where it is
	}
	from, known, err := f.kept()
	if err != nil {
		return err
	}
	if known {
		changed, next, err := f.since(ctx, from)
		if err == nil && len(changed) > 0 {
			rest(ctx, cmp.Or(f.Gather, 5*time.Second))
			changed, next, err = f.since(ctx, from)
		}
		switch {
		case errors.Is(err, store.ErrCursorLost):
			known = false
		case err != nil:
			return err
		case next == from:
			return nil
		default:
			for _, id := range changed {
				if err := f.credentials(ctx, id); err != nil {
					return err
				}
			}
			return f.behind(next)
		}
	}
	next, err := f.Changes.Now(ctx) // before the look at everything
	if err != nil {
		return err
	}
	if err := f.everything(ctx); err != nil {
		return err
	}
	return f.behind(next)
}

// since returns the devices that were changed.
func (f *follower) since(ctx context.Context, from store.Cursor) (changed []string, next store.Cursor, err error) {
	seen := map[string]bool{}
	next, err = f.Changes.Since(ctx, from, func(ch store.Change) {
		if ch.Noun == store.NounDevice && !seen[ch.Key] {
			seen[ch.Key] = true
			changed = append(changed, ch.Key)
		}
	})
	return changed, next, err
}

// behind keeps the place behind what was done. Who was interrupted the last time
// may have been so between the record and the list.
func (f *follower) behind(next store.Cursor) error {
	if !f.sure {
		for _, a := range f.Authorities() {
			if _, err := a.CRL(0); err != nil {
				return err
			}
		}
		f.sure = true
	}
	if f.Place == "" {
		f.at = next
		return nil
	}
	return durable.WriteFile(f.Place, []byte(next), 0o600)
}

func (f *follower) kept() (at store.Cursor, known bool, err error) {
	if f.Place == "" {
		return f.at, f.at != "", nil
	}
	text, err := os.ReadFile(f.Place)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	return store.Cursor(text), err == nil && len(text) > 0, err
}

// everything looks at all devices that may have had a certificate: at the first
// start, or when the node was away for longer than the change log reaches back.
func (f *follower) everything(ctx context.Context) error {
	q := store.Query{Limit: store.MaxPage, States: []countersign.State{
		countersign.DeviceReady, countersign.DeviceActive, countersign.DeviceSuspended, countersign.DeviceRevoked, countersign.DeviceRetired,
	}}
	for {
		page, err := f.Devices.List(ctx, q)
		if err != nil {
			return err
		}
		for _, d := range page.Devices {
			if err := f.credentials(ctx, d.ID); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// credentials has revoked what the registry calls revoked.
func (f *follower) credentials(ctx context.Context, device string) error {
	all, err := f.Credentials.Of(ctx, device)
	if err != nil {
		return err
	}
	for _, credential := range all {
		if credential.State != countersign.CredentialRevoked {
			continue
		}
		for _, a := range f.Authorities() {
			if err := f.revoke(ctx, a, credential); err != nil {
				return fmt.Errorf("device %s, certificate %s: %w", device, credential.Serial, err)
			}
		}
	}
	return nil
}

// revoke has a credential revoked by an authority, if that one has issued it.
func (f *follower) revoke(ctx context.Context, a Authority, credential countersign.Credential) error {
	issued, ok, err := a.Status(ctx, credential.Serial)
	if err != nil {
		return err
	}
	// A serial number is that of many authorities' certificates.
	if !ok || issued.Revoked() || sha256.Sum256(issued.DER) != credential.Fingerprint {
		return nil
	}
	serial, ok := new(big.Int).SetString(credential.Serial, 16)
	if !ok {
		return fmt.Errorf("the registry has %q, which is no serial number", credential.Serial)
	}
	d, err := f.Devices.Device(ctx, credential.Device) // behind what was revoked, so that its state says why
	if err != nil {
		return err
	}
	reason := crl.PrivilegeWithdrawn
	if d.State == countersign.DeviceRetired {
		reason = crl.CessationOfOperation
	}
	if _, err := a.Revoke(serial, reason, time.Time{}); err != nil {
		return err
	}
	f.Logger.Info("a certificate is on its authority's revocation list, since its device was cut off",
		"device", d.ID, "state", d.State, "serial", credential.Serial, "reason", reason)
	return nil
}
