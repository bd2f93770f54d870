package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"regexp"
	"slices"

	"countersign.dev"
	"countersign.dev/internal/store"
)

// Makers say which devices are put into the registry when they come for the first
// time, with a certificate that their maker has given them.
type Makers struct {
	// Authorities are the makers': one of them is on the path that was verified.
	Authorities []*x509.Certificate
	// IDs, unless nil, matches the ids of those that are registered.
	IDs *regexp.Regexp
	// Claim is what they have to show besides: ClaimApproval, or ClaimNone.
	Claim Claim
	// Labels of those that are registered.
	Labels map[string]string
}

// made reports whether a device that is not in the registry is a maker's.
func (a *attempt) made() bool {
	m := a.office.Makers
	if m == nil || a.Renew || a.csr == nil || m.IDs != nil && !m.IDs.MatchString(a.id) || len(a.By.Chain) == 0 {
		return false
	}
	return slices.ContainsFunc(a.By.Chain[1:], func(c *x509.Certificate) bool {
		return slices.ContainsFunc(m.Authorities, c.Equal)
	})
}

// register puts the device into the registry, ready for what its claim is. Of two
// who come at once, on two nodes, one does.
func (a *attempt) register(ctx context.Context) error {
	m, by := a.office.Makers, a.By.Client.Identity()
	d := countersign.Device{ID: a.id, State: countersign.DeviceProvisioned, Labels: m.Labels, Created: a.now}
	e := a.entry("add", "came from "+a.By.Address.String()+" with certificate "+by.Serial+" of "+by.Issuer)
	e.Why = "registered by its maker's certificate"
	err := a.office.Store.Devices.Create(ctx, d, e)
	if errors.Is(err, store.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = a.office.Store.Enrollments.Enroll(ctx, a.id, func(d *store.EnrollmentDraft) error {
		change, err := countersign.Change("ready", d.Device.State)
		if err != nil {
			return notReady(a.office.Retry, "%v", err)
		}
		d.Enrollment.Claim = string(m.Claim)
		d.Device.State, d.Entry = change.To, a.entry(change.Verb, "with the claim "+string(m.Claim))
		return nil
	})
	return err
}
