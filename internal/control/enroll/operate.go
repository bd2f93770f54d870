package enroll

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	"countersign.dev"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll/claim"
	"countersign.dev/internal/store"
)

// refusedOperator is what an operator has asked for in vain.
type refusedOperator struct{ error }

func (r refusedOperator) Unwrap() []error { return []error{device.ErrRefused, r.error} }

func refused(format string, args ...any) error { return refusedOperator{fmt.Errorf(format, args...)} }

// A ClaimChange is how a device is to show that it is the one.
type ClaimChange struct {
	Claim Claim
	// Secret is that of ClaimSecret, 16 letters or more; "": one is made.
	Secret string
	// Key is that of ClaimKey: sha256:HEX of the SubjectPublicKeyInfo, a public key, a
	// certificate or a signing request in PEM.
	Key string
}

// shortest is how short a secret may be that an operator brings along.
const shortest = 16

// SetClaim says how a device shows that it is the one. It returns the secret, if
// there is one: it is kept as a hash alone.
func (d *Desk) SetClaim(ctx context.Context, by device.Author, id string, c ClaimChange) (secret string, err error) {
	o, id, err := d.operated(by, id)
	if err != nil {
		return "", err
	}
	var hash, key []byte
	detail := string(c.Claim)
	switch c.Claim {
	case ClaimSecret:
		if secret = c.Secret; secret == "" {
			secret = rand.Text()
		}
		if len(secret) < shortest || len(secret) > 256 {
			return "", refused("a secret has %d to 256 letters, this one %d", shortest, len(secret))
		}
		if hash, err = claim.HashSecret(secret); err != nil {
			return "", err
		}
	case ClaimKey:
		if key, err = claim.ReadKey(c.Key); err != nil {
			return "", refused("the key: %w", err)
		}
		detail += " " + printed(key)
	case ClaimApproval, ClaimNone:
	default:
		return "", refused("claim %q: want secret, key, approval or none", c.Claim)
	}
	if c.Secret != "" && c.Claim != ClaimSecret || c.Key != "" && c.Claim != ClaimKey {
		return "", refused("a secret or a key is given that the claim %s has no use for", c.Claim)
	}
	_, err = o.Store.Enrollments.Enroll(ctx, id, func(e *store.EnrollmentDraft) error {
		if err := waits(e); err != nil {
			return err
		}
		if e.Enrollment.SealedKey != nil && (c.Claim == ClaimKey || c.Claim == ClaimApproval) {
			return refused("a finished bundle was uploaded for %s, which no key of its own can claim: secret or none", id)
		}
		e.Enrollment.Claim, e.Enrollment.Secret, e.Enrollment.Key, e.Enrollment.Asked = string(c.Claim), hash, key, nil
		e.Entry = d.entry(by, "claim", detail)
		return nil
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// Approve says which of those who wait is the device; "" is none of them.
func (d *Desk) Approve(ctx context.Context, by device.Author, id, key string) error {
	o, id, err := d.operated(by, id)
	if err != nil {
		return err
	}
	var digest []byte
	if key != "" {
		if digest, err = claim.ReadKey(key); err != nil {
			return refused("the key: %w", err)
		}
	}
	_, err = o.Store.Enrollments.Enroll(ctx, id, func(e *store.EnrollmentDraft) error {
		if err := waits(e); err != nil {
			return err
		}
		var from string
		for _, asked := range e.Enrollment.Asked {
			if bytes.Equal(asked.Key, digest) {
				from = asked.Address
			}
		}
		switch {
		case digest == nil:
			e.Entry = d.entry(by, "disapprove", fmt.Sprintf("%d keys that waited", len(e.Enrollment.Asked)))
		case from == "":
			return refused("nobody with the key %s waits to be approved as %s", printed(digest), id)
		default:
			e.Enrollment.Key = digest
			e.Entry = d.entry(by, "approve", "key "+printed(digest)+" from "+from)
		}
		e.Enrollment.Asked = nil
		return nil
	})
	return err
}

// A View is what an operator may see of an enrollment.
type View struct {
	store.Enrollment // without secrets: Secret and SealedKey are nil
	Claim            Claim
	HasSecret        bool
	HasBundle        bool
}

// View returns the enrollment of a device.
func (d *Desk) View(ctx context.Context, id string) (View, error) {
	o := d.inUse.Load()
	if o == nil {
		return View{}, errClosed
	}
	id, err := o.IDs.Normalize(id)
	if err != nil {
		return View{}, refused("%w", err)
	}
	e, err := o.Store.Enrollments.Enrollment(ctx, id)
	return o.view(e), err
}

// Waiting returns at most limit of those who wait for approval, behind the device
// after.
func (d *Desk) Waiting(ctx context.Context, after string, limit int) ([]View, error) {
	o := d.inUse.Load()
	if o == nil {
		return nil, errClosed
	}
	all, err := o.Store.Enrollments.Waiting(ctx, after, limit)
	var views []View
	for _, e := range all {
		views = append(views, o.view(e))
	}
	return views, err
}

func (s *Settings) view(e store.Enrollment) View {
	v := View{Enrollment: e, Claim: s.claim(&e), HasSecret: e.Secret != nil, HasBundle: e.SealedKey != nil}
	v.Secret, v.SealedKey = nil, nil
	return v
}

var errClosed = refused("there is no enrollment: the configuration has no devices.initialize")

// operated is what an operator's change begins with.
func (d *Desk) operated(by device.Author, id string) (*office, string, error) {
	o := d.inUse.Load()
	if o == nil {
		return nil, "", errClosed
	}
	if by.Who == "" {
		return nil, "", refused("nobody is named who does it")
	}
	id, err := o.IDs.Normalize(id)
	if err != nil {
		return nil, "", refused("%w", err)
	}
	return o, id, nil
}

// waits refuses to change how a certificate is to be had that was had already.
func waits(e *store.EnrollmentDraft) error {
	switch e.Device.State {
	case countersign.DeviceProvisioned, countersign.DeviceReady, countersign.DeviceRevoked:
		if e.Enrollment.Taken == nil {
			return nil
		}
		return refused("device %s is fetching its certificate, with the key %s: revoke it, if it is not the device", e.Device.ID, printed(e.Enrollment.Taken))
	}
	return refused("device %s is %s: what it has to claim, or gets, is for one that has no certificate yet", e.Device.ID, e.Device.State)
}

func (d *Desk) entry(by device.Author, what, detail string) countersign.TrailEntry {
	return countersign.TrailEntry{At: d.now(), Who: by.Who, Why: by.Why, What: what, Detail: detail}
}
