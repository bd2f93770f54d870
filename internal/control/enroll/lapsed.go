package enroll

import (
	"cmp"
	"context"
	"slices"

	"countersign.dev"
)

// lapsed serves a device whose certificate has expired: it may have it renewed if it
// is active, the certificate is the latest it has, the authority's own, and its end
// not too long ago.
func (a *attempt) lapsed(ctx context.Context) (*Delivery, error) {
	who, within := a.By.Client.Identity(), a.office.RenewAfterExpiry
	switch until := who.NotAfter.Add(within); {
	case within == 0:
		return nil, notOwn("it expired on %s, and no authority renews what has expired (renew_after_expiry)", stamp(who.NotAfter))
	case a.now.After(until):
		return nil, notOwn("it expired on %s, and could be renewed until %s (renew_after_expiry): revoke the device and make it ready again", stamp(who.NotAfter), stamp(until))
	case a.office.Authority == nil || len(a.By.Chain) < 2 || !slices.ContainsFunc(a.office.Authority.Issuers(), a.By.Chain[1].Equal):
		return nil, notOwn("it expired on %s, and was not issued by devices.authority, which alone renews it", stamp(who.NotAfter))
	}
	standing, err := a.standing(ctx)
	if err != nil {
		return nil, err
	}
	if standing.State != countersign.DeviceActive {
		return nil, refuse(403, "DeviceNotServed", "The device is not served.", "it is %s, and its certificate expired on %s", standing.State, stamp(who.NotAfter))
	}
	if err := a.latest(ctx, who); err != nil {
		return nil, err
	}
	return a.own(ctx)
}

// latest refuses a certificate that the device has replaced already: who comes with
// it may be somebody who has found it.
func (a *attempt) latest(ctx context.Context, who *countersign.Identity) error {
	all, err := a.office.Store.Credentials.Of(ctx, a.id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(c countersign.Credential) bool { return c.Fingerprint == who.Fingerprint })
	if at < 0 {
		return notOwn("it expired on %s, and is not recorded as the device's: it cannot be told whether it is the latest", stamp(who.NotAfter))
	}
	for _, c := range all {
		later := cmp.Or(c.Added.Compare(all[at].Added), c.NotBefore.Compare(who.NotBefore)) > 0
		if later && c.Fingerprint != who.Fingerprint {
			return notOwn("it expired on %s, and is not the device's latest: that is %s, of %s", stamp(who.NotAfter), c.Serial, stamp(c.Added))
		}
	}
	return nil
}
