package enroll

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/enroll/naming"
	"countersign.dev/internal/store"
)

// An attempt is one request on its way.
type attempt struct {
	desk   *Desk
	office *office
	Request
	now time.Time

	id  string
	csr *request.CSR
	key []byte // SHA-256 of the SubjectPublicKeyInfo in csr
}

func (a *attempt) run(ctx context.Context) (*Delivery, error) {
	o := a.office
	if wait := o.sources.Take(network(a.By.Address), a.now); wait > 0 {
		return nil, tooMany(wait, "more than %d attempts a minute come from there (devices.initialize.per_source)", o.PerSource)
	}
	if !a.By.Client.Verified() && a.By.Client.Lapse() == nil {
		return nil, refuse(403, "ClientCertMissing", "A client certificate is required.", "no certificate was verified: devices present the one they are made with, or their own")
	}
	own, err := o.IDs.Of(a.By.Client.Identity())
	if err != nil {
		return nil, notOwn("%v", err)
	}
	if err := a.read(own); err != nil {
		return nil, err
	}
	if wait := o.devices.Take(a.id, a.now); wait > 0 {
		return nil, tooMany(wait, "more than %d attempts a minute name this device (devices.initialize.per_device)", o.PerDevice)
	}
	defer a.desk.turns.take(a.id)()
	switch {
	case o.Bootstrap != "" && own == o.Bootstrap:
		if a.Renew || a.By.Client.Lapse() != nil {
			return nil, notOwn("it is the one that all devices are made with: to renew takes the device's own")
		}
		return a.first(ctx)
	case a.By.Client.Lapse() != nil && own == a.id:
		return a.lapsed(ctx)
	case own != a.id:
		return nil, notOwn("it is the certificate of %s, which asks for one of %s", own, a.id)
	}
	return a.own(ctx)
}

func tooMany(wait time.Duration, reason string, args ...any) *Refusal {
	return refuse(429, "EnrollmentTooMany", "There were too many attempts.", reason, args...).after(wait)
}

// network is what attempts are counted by: an address, of IPv6 the /64.
func network(a netip.Addr) string {
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// read finds the device and the signing request in what was sent. Only names of
// the device itself are certified, so that others are refused.
func (a *attempt) read(own string) error {
	o := a.office
	name := a.Device
	if a.CSR != nil {
		csr, err := request.ReadCSR(a.CSR, issuance.Device)
		if err != nil {
			return invalid("the signing request: %v", err)
		}
		spki, err := x509.MarshalPKIXPublicKey(csr.PublicKey)
		if err != nil {
			return invalid("the signing request: %v", err)
		}
		digest := sha256.Sum256(spki)
		a.csr, a.key = &csr, digest[:]
		if name == "" {
			name = naming.CommonName(csr.Subject)
		}
	}
	if name == "" && own != o.Bootstrap {
		name = own
	}
	if name == "" {
		return invalid("no device is named")
	}
	var err error
	if a.id, err = o.IDs.Normalize(name); err != nil {
		return invalid("the device: %v", err)
	}
	if a.id == o.Bootstrap {
		a.id = ""
		return invalid("%s is the id in the certificate that all devices are made with, and no device's", name)
	}
	if a.csr != nil && !a.Renew {
		if err := naming.CheckRequest(o.IDs, a.csr, a.id); err != nil {
			return invalid("%v", err)
		}
	}
	return nil
}

// first hands out the first certificate, to whoever shows that it is the device.
func (a *attempt) first(ctx context.Context) (*Delivery, error) {
	var delivery *Delivery
	var refusal *Refusal
	_, err := a.office.Store.Enrollments.Enroll(ctx, a.id, func(d *store.EnrollmentDraft) error {
		delivery, refusal = nil, nil
		var err error
		delivery, refusal, err = a.take(d)
		return err
	})
	var r *Refusal
	if errors.As(err, &r) && (r.Status == 403 || r.Status == 409) {
		a.note(ctx, r)
	}
	switch {
	case err != nil:
		return nil, err
	case refusal != nil:
		return nil, refusal
	case delivery != nil:
		return delivery, nil
	}
	return a.issue(ctx)
}

// take decides whether the device gets its certificate, and keeps for which key.
// Without a delivery there is one to be issued. What it keeps it keeps although it
// refuses by refusal; by err nothing is kept.
func (a *attempt) take(d *store.EnrollmentDraft) (delivery *Delivery, refusal *Refusal, err error) {
	e := &d.Enrollment
	switch d.Device.State {
	case countersign.DeviceProvisioned, countersign.DeviceRevoked:
		return nil, nil, notReady(a.office.Retry, "it is %s; countersign device ready %s lets it fetch its certificate", d.Device.State, a.id)
	case countersign.DeviceReady, countersign.DeviceActive:
	default:
		return nil, nil, refuse(403, "DeviceNotServed", "The device is not served.", "it is %s", d.Device.State)
	}
	if d.Device.State == countersign.DeviceActive && (e.Taken == nil || !e.Acknowledged.IsZero()) {
		return nil, nil, delivered("it is active, and its own certificate is what it has to present; after a loss, revoke it and make it ready again")
	}
	if refusal, err = a.claims(d); refusal != nil || err != nil {
		return nil, refusal, err
	}
	switch {
	case e.SealedKey != nil:
		delivery, err = a.unseal(d)
		return delivery, nil, err
	case d.Device.State == countersign.DeviceActive && e.Chain == nil, a.csr == nil && e.Taken != nil:
		return nil, nil, delivered("what was uploaded for it was handed out on %s", stamp(e.Delivered))
	case a.csr == nil:
		return nil, nil, invalid("there is no signing request, and nothing was uploaded for the device")
	case e.Taken == nil:
		if a.office.Authority == nil {
			return nil, nil, notReady(a.office.Retry, "no authority is configured (devices.authority), and nothing was uploaded for the device")
		}
		e.Taken, d.NewKey = a.key, a.key
		return nil, nil, nil
	case !bytes.Equal(e.Taken, a.key):
		return nil, nil, refuse(409, "EnrollmentKeyConflict", "The certificate of the device belongs to another key.",
			"somebody came before with the key %s, and has not used the certificate yet; if that was not the device, revoke it", printed(e.Taken))
	case e.Fingerprint == nil: // interrupted before it was issued
		return nil, nil, nil
	}
	chain, err := parseChain(e.Chain)
	if err != nil {
		return nil, nil, err
	}
	return &Delivery{Device: a.id, Chain: chain, Again: true}, nil, nil
}

// issue makes the certificate for the key that take has kept, and hands it out
// once it is on record.
func (a *attempt) issue(ctx context.Context) (*Delivery, error) {
	subject, names, err := naming.Certificate(a.office.IDs, a.office.Name, a.id)
	if err != nil {
		return nil, err
	}
	issued, err := a.office.Authority.Certify(ctx, issuance.Request{Profile: issuance.Device, Subject: subject, Names: names, PublicKey: a.csr.PublicKey})
	if err != nil {
		return nil, err
	}
	delivery := &Delivery{Device: a.id, Chain: []*x509.Certificate{issued.Certificate, issued.Issuer}}
	_, err = a.office.Store.Enrollments.Enroll(ctx, a.id, func(d *store.EnrollmentDraft) error {
		e := &d.Enrollment
		if !bytes.Equal(e.Taken, a.key) {
			return delivered("it was revoked while its certificate was being issued")
		}
		if e.Fingerprint != nil {
			return errOvertaken
		}
		e.Chain = encodeChain(delivery.Chain)
		return a.deliver(d, issued.Certificate, "delivered to")
	})
	var refusal *Refusal
	if errors.As(err, &refusal) || errors.Is(err, errOvertaken) {
		a.discard(issued.Certificate)
	}
	if errors.Is(err, errOvertaken) { // by another node, with the same key
		return a.first(ctx)
	}
	return delivery, err
}

var errOvertaken = errors.New("it was delivered meanwhile")

// deliver keeps that the device has this certificate, and is active by it.
func (a *attempt) deliver(d *store.EnrollmentDraft, c *x509.Certificate, how string) error {
	change, err := countersign.Change("activate", d.Device.State)
	if err != nil {
		return delivered("%v", err)
	}
	fingerprint := sha256.Sum256(c.Raw)
	d.Enrollment.Fingerprint, d.Enrollment.Delivered, d.Enrollment.Asked = fingerprint[:], a.now, nil
	d.Device.State, d.Entry = change.To, a.entry(change.Verb, "certificate "+serial(c)+" "+how+" "+a.By.Address.String()+", key "+printed(a.key))
	d.Credential, err = credential(a.id, c, a.now)
	return err
}

// discard revokes what nobody got.
func (a *attempt) discard(c *x509.Certificate) {
	if _, err := a.office.Authority.RevokeCertificate(c, "cessationOfOperation", time.Time{}); err != nil {
		a.desk.logger.Error("a certificate that was issued and given to nobody is not revoked", "device", a.id, "serial", serial(c), "error", err)
	}
}

func (a *attempt) entry(what, detail string) countersign.TrailEntry {
	return countersign.TrailEntry{At: a.now, Who: "device " + a.id, What: what, Why: "enrollment", Detail: detail}
}

// note writes a refusal into the trail of the device, not more than one a minute.
func (a *attempt) note(ctx context.Context, r *Refusal) {
	if a.office.notes.Take(a.id, a.now) > 0 {
		return
	}
	_, err := a.office.Store.Enrollments.Enroll(ctx, a.id, func(d *store.EnrollmentDraft) error {
		d.Entry = countersign.TrailEntry{At: a.now, Who: "somebody at " + a.By.Address.String(), What: "refused", Why: r.Code, Detail: r.Reason}
		return nil
	})
	if err != nil {
		a.desk.logger.Warn("a refusal is not in the trail of its device", "device", a.id, "error", err)
	}
}

func printed(key []byte) string {
	if key == nil {
		return ""
	}
	return "sha256:" + hex.EncodeToString(key)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
