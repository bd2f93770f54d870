package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"countersign.dev"
	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/enroll/naming"
	"countersign.dev/internal/store"
)

// own serves a device that presents a certificate of its own.
func (a *attempt) own(ctx context.Context) (*Delivery, error) {
	standing, err := a.standing(ctx)
	if errors.Is(err, store.ErrUnknown) && a.made() {
		if err := a.register(ctx); err != nil {
			return nil, err
		}
		standing, err = a.standing(ctx)
	}
	if err != nil {
		return nil, err
	}
	switch standing.State {
	case countersign.DeviceActive:
	case countersign.DeviceProvisioned, countersign.DeviceReady:
		if a.Renew {
			return nil, notOwn("the device is %s: what it renews it has to be given first", standing.State)
		}
		return a.first(ctx) // its maker gave it a certificate of its own
	default:
		return nil, refuse(403, "DeviceNotServed", "The device is not served.", "it is %s", standing.State)
	}
	presented := a.By.Client.Identity()
	if err := a.office.Store.Enrollments.Acknowledge(ctx, presented.Fingerprint, a.now); err != nil {
		return nil, err
	}
	if a.csr == nil {
		return nil, invalid("the device has its certificate, and sends no signing request for another one")
	}
	if len(a.By.Chain) == 0 {
		return nil, errors.New("the client's certificate is not at hand")
	}
	leaf := a.By.Chain[0]
	if a.Renew {
		if err := naming.Same(a.csr.Subject, a.csr.Names, leaf); err != nil {
			return nil, invalid("%v", err)
		}
	}
	return a.renew(ctx, leaf)
}

// standing refuses a certificate that is worth nothing any more.
func (a *attempt) standing(ctx context.Context) (store.Standing, error) {
	all, err := a.office.Store.Standings.Standings(ctx, []string{a.id})
	switch {
	case err != nil:
		return store.Standing{}, err
	case len(all) == 0:
		return store.Standing{}, &store.Fault{Doing: "looking up the standing of device " + a.id, Kind: store.ErrUnknown}
	}
	who := a.By.Client.Identity()
	at := slices.IndexFunc(all[0].Credentials, func(c store.CredentialStanding) bool { return c.Fingerprint == who.Fingerprint })
	switch {
	case at >= 0 && all[0].Credentials[at].State == countersign.CredentialRevoked:
		return store.Standing{}, notOwn("it is recorded as revoked")
	case at < 0 && who.NotBefore.Before(all[0].CutOff):
		return store.Standing{}, notOwn("it begins on %s, the device was cut off on %s", stamp(who.NotBefore), stamp(all[0].CutOff))
	}
	return all[0], nil
}

// renew issues what the certificate at hand says, once more, for the key of the
// signing request. The certificate at hand stays good until it ends.
func (a *attempt) renew(ctx context.Context, leaf *x509.Certificate) (*Delivery, error) {
	if a.office.Authority == nil {
		return nil, refuse(403, "EnrollmentDelivered", "The device has its certificate already.", "no authority is configured that renews it (devices.authority)")
	}
	active := func(d *store.EnrollmentDraft) error {
		if d.Device.State != countersign.DeviceActive {
			return refuse(403, "DeviceNotServed", "The device is not served.", "it is %s", d.Device.State)
		}
		return nil
	}
	if _, err := a.office.Store.Enrollments.Enroll(ctx, a.id, func(d *store.EnrollmentDraft) error {
		d.NewKey = a.key
		return active(d)
	}); err != nil {
		return nil, err
	}
	issued, err := a.office.Authority.Certify(ctx, issuance.Request{Profile: issuance.Device, Subject: leaf.RawSubject, PublicKey: a.csr.PublicKey,
		Names: altname.Names{DNS: leaf.DNSNames, URIs: leaf.URIs, Emails: leaf.EmailAddresses, IPs: leaf.IPAddresses}})
	if err != nil {
		return nil, err
	}
	_, err = a.office.Store.Enrollments.Enroll(ctx, a.id, func(d *store.EnrollmentDraft) error {
		if err := active(d); err != nil {
			return err
		}
		d.Entry = a.entry("credential", fmt.Sprintf("certificate %s in the place of %s, for %s, key %s", serial(issued.Certificate), serial(leaf), a.By.Address, printed(a.key)))
		var err error
		d.Credential, err = credential(a.id, issued.Certificate, a.now)
		return err
	})
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		a.discard(issued.Certificate)
	}
	if err != nil {
		return nil, err
	}
	return &Delivery{Device: a.id, Chain: []*x509.Certificate{issued.Certificate, issued.Issuer}}, nil
}
