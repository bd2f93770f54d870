package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/bench/fleet"
	"countersign.dev/internal/control/ca"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/store"
)

// An Issue says what is to be issued.
type Issue struct {
	Dir     string        // for the authority's files; must not exist or be empty
	Store   *store.Store  // empty; nil: the authority's ledger alone
	Devices int           // are in the store beforehand, and the most that can be issued
	Callers int           // at a time
	Time    time.Duration // after which nothing is begun any more
}

// Measure issues certificates until the time is over, each to another device with
// a key and a signing request of its own, and returns how many a second there were.
// With a store the devices fetch them, without a claim, as by Initialize.
func (i Issue) Measure(ctx context.Context) (perSecond float64, err error) {
	a, err := ca.Init(ca.Founding{Config: ca.Config{Dir: i.Dir}})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	ask := func(_ context.Context, _ string, request []byte) error {
		_, err := a.Sign(request, ca.SignRequest{})
		return err
	}
	if i.Store != nil {
		if ask, err = i.open(ctx, a); err != nil {
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
				id := fleet.Device(number)
				var request []byte
				if request, errs[n] = signingRequest(id); errs[n] == nil {
					errs[n] = ask(ctx, id, request)
				}
				if errs[n] != nil {
					return
				}
				issued.Add(1)
			}
		})
	}
	callers.Wait()
	return float64(issued.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

func signingRequest(id string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: id}}, key)
}

// bootstrap is the id in the certificate that all devices are made with.
const bootstrap = "00:00:00:00:00:00"

// open fills the store with devices that are ready, and returns how one of them
// fetches its certificate.
func (i Issue) open(ctx context.Context, a *ca.Authority) (func(ctx context.Context, id string, request []byte) error, error) {
	ids := device.IDs{Form: device.FormMAC}
	r := device.New(device.Config{Store: i.Store, IDs: ids})
	if _, err := r.Import(ctx, device.Author{Who: "bench"}, fleet.Ready(i.Devices), device.Import{Format: device.CSV}); err != nil {
		return nil, err
	}
	shared, err := a.Issue(ca.Request{Profile: issuance.Bootstrap, CommonName: bootstrap})
	if err != nil {
		return nil, err
	}
	who, err := fleet.Verified(a.Root(), []*x509.Certificate{shared.Certificate, shared.Issuer})
	if err != nil {
		return nil, err
	}
	by := enroll.Party{Client: who, Chain: who.Chain().Path(), Address: netip.MustParseAddr("192.0.2.7")}
	desk := enroll.New(enroll.Config{})
	const unlimited = 1e9
	desk.Use(&enroll.Settings{Store: i.Store, IDs: ids, Bootstrap: bootstrap, Claim: enroll.ClaimNone, Name: "{id}",
		Authority: a, PerSource: unlimited, PerDevice: unlimited, Retry: time.Minute})
	return func(ctx context.Context, id string, request []byte) error {
		_, err := desk.Enroll(ctx, enroll.Request{By: by, Device: id, CSR: request})
		return err
	}, nil
}
