package enroll

import (
	"context"
	"errors"
	"fmt"

	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll/bundle"
	"countersign.dev/internal/store"
	"countersign.dev/internal/traffic/identify"
)

// unseal hands out what was uploaded: the key is gone from the store before it is
// on its way, so that nobody else gets it, whatever happens.
func (a *attempt) unseal(d *store.EnrollmentDraft) (*Delivery, error) {
	e := &d.Enrollment
	switch {
	case a.Keyless:
		return nil, refuse(406, "EnrollmentNotAcceptable", "The answer has a private key in it, which cannot be sent in that form.",
			"a finished bundle was uploaded for it, which is handed out in PEM alone")
	case a.office.Box == nil:
		return nil, errors.New("this node has no key to open what was uploaded: node.data_dir is not set")
	}
	key, err := a.office.Box.Open(e.SealedKey, a.id)
	if err != nil {
		return nil, fmt.Errorf("the uploaded key: %w", err)
	}
	chain, err := parseChain(e.Chain)
	if err != nil {
		return nil, err
	}
	a.key = keyDigest(chain[0])
	e.Taken, d.NewKey = a.key, a.key
	e.SealedKey, e.Chain = nil, nil
	if err := a.deliver(d, chain[0], "with its key handed to"); err != nil {
		return nil, err
	}
	return &Delivery{Device: a.id, Chain: chain, Key: key}, nil
}

// Upload keeps a finished bundle for a device: in PEM its certificate, those
// behind it, and its private key. It is handed out once.
func (d *Desk) Upload(ctx context.Context, by device.Author, id string, data []byte) error {
	o, id, err := d.operated(by, id)
	if err != nil {
		return err
	}
	if o.Box == nil {
		return refused("nothing can be sealed: set node.data_dir, where the key of the node is kept")
	}
	chain, key, err := bundle.Read(data)
	if err != nil {
		return refused("the bundle: %w", err)
	}
	who := identify.Presented(chain[0])
	if who == nil {
		return refused("the certificate of the bundle cannot be described")
	}
	switch named, err := o.IDs.Of(who); {
	case err != nil:
		return refused("the certificate of the bundle: %w", err)
	case named != id:
		return refused("the certificate of the bundle is that of %s, not of %s", named, id)
	case d.now().After(chain[0].NotAfter):
		return refused("the certificate of the bundle expired on %s", stamp(chain[0].NotAfter))
	}
	_, err = o.Store.Enrollments.Enroll(ctx, id, func(e *store.EnrollmentDraft) error {
		if err := waits(e); err != nil {
			return err
		}
		if c := o.claim(&e.Enrollment); c == ClaimKey || c == ClaimApproval {
			return refused("the claim of %s is %s, for which the device makes its key itself: countersign device claim %s --secret", id, c, id)
		}
		e.Enrollment.Chain, e.Enrollment.SealedKey = encodeChain(chain), o.Box.Seal(key, id)
		e.Entry = d.entry(by, "bundle", "certificate "+serial(chain[0])+" with its key, until "+stamp(chain[0].NotAfter))
		return nil
	})
	return err
}
