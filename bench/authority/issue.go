package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev"
	"countersign.dev/bench/fleet"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/store"
	"countersign.dev/internal/wire/dn"
)

// An Issue says what is to be issued.
type Issue struct {
	Dir     string        // for the authority's files; must not exist or be empty
	Store   *store.Store  // empty; nil: the authority's ledger alone
	Devices int           // are in the store beforehand, and the most that can be issued
	Callers int           // at a time
	Time    time.Duration // after which nothing is begun any more
}

// Measure issues certificates until the time is over, each for another device with
// a key of its own, and returns how many a second were recorded. With a store it
// also keeps, before, whose key it is, and afterwards what was delivered: one
// transaction each, as Initialize has them.
func (i Issue) Measure(ctx context.Context) (perSecond float64, err error) {
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: i.Dir}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if i.Store != nil {
		r := device.New(device.Config{Store: i.Store, IDs: device.IDs{Form: device.FormMAC}})
		if _, err := r.Import(ctx, device.Author{Who: "bench"}, fleet.List(i.Devices), device.Import{Format: device.CSV}); err != nil {
			return 0, err
		}
	}
	var next, issued atomic.Int64
	errs := make([]error, i.Callers)
	var callers sync.WaitGroup
	began := time.Now()
	for n := range i.Callers {
		callers.Go(func() {
			for time.Since(began) < i.Time {
				number := int(next.Add(1)) - 1
				if number >= i.Devices {
					return
				}
				if errs[n] = i.one(ctx, a, fleet.Device(number)); errs[n] != nil {
					return
				}
				issued.Add(1)
			}
		})
	}
	callers.Wait()
	return float64(issued.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

func (i Issue) one(ctx context.Context, a *ca.Authority, id string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	taken := sha256.Sum256(public)
	if err := i.enroll(ctx, id, func(d *store.EnrollmentDraft) { d.NewKey, d.Enrollment.Taken = taken[:], taken[:] }); err != nil {
		return err
	}
	subject, err := request.CommonName(id)
	if err != nil {
		return err
	}
	made, err := a.Certify(ctx, issuance.Request{Subject: subject, PublicKey: key.Public()})
	if err != nil {
		return err
	}
	c := made.Certificate
	fingerprint, now := sha256.Sum256(c.Raw), time.Now()
	return i.enroll(ctx, id, func(d *store.EnrollmentDraft) {
		d.Credential = &countersign.Credential{
			Device: id, Serial: dn.Serial(c.SerialNumber), Fingerprint: fingerprint, Issuer: c.Issuer.String(),
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: countersign.CredentialValid, Added: now,
		}
		d.Enrollment.Chain = append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Issuer.Raw})...)
		d.Enrollment.Fingerprint, d.Enrollment.Delivered = fingerprint[:], now
		d.Entry = countersign.TrailEntry{At: now, Who: "device " + id, What: "credential", Detail: fmt.Sprintf("serial %s", dn.Serial(c.SerialNumber))}
	})
}

// enroll alters the enrollment of a device, where there is a store.
func (i Issue) enroll(ctx context.Context, id string, alter func(*store.EnrollmentDraft)) error {
	if i.Store == nil {
		return nil
	}
	_, err := i.Store.Enrollments.Enroll(ctx, id, func(d *store.EnrollmentDraft) error {
		alter(d)
		return nil
	})
	return err
}
