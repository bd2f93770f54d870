package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign.dev"
	"countersign.dev/internal/control/ca"
	inventory "countersign.dev/internal/control/device"
	"countersign.dev/internal/control/enroll"
	"countersign.dev/internal/store/sqlite"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
)

// cmdAged makes, with a clock that is two days slow, an authority in DIR whose
// certificates last a day, and a registry in DATA with devices that have fetched
// theirs then, saved as NAME.crt and NAME.key:
//
//	aged DIR DATA NAME=ID...
func cmdAged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: aged DIR DATA NAME=ID...")
	}
	ts.Check(age(ts.MkAbs(args[0]), ts.MkAbs(args[1]), ts.MkAbs("."), args[2:]))
}

func age(dir, data, out string, devices []string) error {
	ctx := context.Background()
	then := func() time.Time { return time.Now().Add(-48 * time.Hour) }
	authority, err := ca.Init(ca.Founding{Config: ca.Config{Dir: dir, Now: then, Lifetime: 24 * time.Hour}})
	if err != nil {
		return err
	}
	defer authority.Close()
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	s, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(data, storeName)})
	if err != nil {
		return err
	}
	defer s.Close()
	ids := inventory.IDs{Form: inventory.FormMAC, Pattern: regexp.MustCompile(`^MacID-(.+)$`)}
	registry := inventory.New(inventory.Config{Store: s, IDs: ids, Now: then})
	desk := enroll.New(enroll.Config{Now: then})
	desk.Use(&enroll.Settings{Store: s, IDs: ids, Bootstrap: "00:00:00:00:00:00", Claim: enroll.ClaimNone, Name: "MacID-{id}",
		Authority: authority, PerSource: 1000, PerDevice: 1000, Retry: time.Minute})
	early, err := bootstrapAt(authority, then())
	if err != nil {
		return err
	}
	for _, d := range devices {
		name, id, _ := strings.Cut(d, "=")
		by := inventory.Author{Who: "a script", Why: "to be aged"}
		if _, err := registry.Add(ctx, by, countersign.Device{ID: id, State: countersign.DeviceReady}); err != nil {
			return err
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "MacID-" + id}}, key)
		if err != nil {
			return err
		}
		got, err := desk.Enroll(ctx, enroll.Request{By: early, CSR: csr})
		if err != nil {
			return err
		}
		issued := ca.Issued{Certificate: got.Chain[0], Issuer: got.Chain[1], Key: key}
		if err := issued.Save(ca.FilesFor(out, name)); err != nil {
			return err
		}
	}
	return nil
}

// bootstrapAt is somebody who presents what all devices are made with.
func bootstrapAt(a *ca.Authority, at time.Time) (enroll.Party, error) {
	issued, err := a.Issue(ca.Request{Profile: "bootstrap", CommonName: "MacID-00:00:00:00:00:00"})
	if err != nil {
		return enroll.Party{}, err
	}
	trust, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{a.Root()}})
	if err != nil {
		return enroll.Party{}, err
	}
	chain, denial := trust.Verify([]*x509.Certificate{issued.Certificate, issued.Issuer}, verify.Options{Now: at.Add(time.Minute)})
	if denial != nil {
		return enroll.Party{}, fmt.Errorf("%s", denial.Reason)
	}
	client, denial := identify.From(chain)
	if denial != nil {
		return enroll.Party{}, fmt.Errorf("%s", denial.Reason)
	}
	return enroll.Party{Client: client, Chain: chain.Path(), Address: netip.MustParseAddr("192.0.2.7")}, nil
}
