package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/durable"
)

// The files that two authorities have of which one succeeds the other (RFC 4210
// section 4.4): both have both of them. The successor has its predecessor's root too.
const (
	NewWithOldFile = "new-with-old.crt" // the new root's key, signed by the old root
	OldWithNewFile = "old-with-new.crt" // the old root's key, signed by the new root
	OldRootFile    = "old-root.crt"
)

// rootSuffix is what the name of a root ends with.
const rootSuffix = " Root"

// Succeed makes the authority that takes the place of a: another root with the name
// of the old one and another key, each certified by the other, and an issuing
// authority with the next number below it. So whoever has one of the roots alone
// believes what either has issued. f says the rest; its Name is of no account. What
// was interrupted is gone on with.
func (a *Authority) Succeed(ctx context.Context, f Founding) (*Authority, error) {
	if a.root.Issuer == nil {
		return nil, a.errNoRootKey("certifying another root")
	}
	issuers, err := a.latest()
	if err != nil {
		return nil, err
	}
	next, err := Open(f.Config)
	if errors.Is(err, fs.ErrNotExist) {
		f.Name, f.first = strings.TrimSuffix(a.root.certificate.Subject.CommonName, rootSuffix), len(issuers)+1+before(issuers[0].certificate)
		next, err = Init(f)
	}
	if err != nil {
		return nil, err
	}
	if err := a.certifyEachOther(ctx, next); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return next, nil
}

func (a *Authority) certifyEachOther(ctx context.Context, next *Authority) error {
	switch name := a.root.certificate.Subject.String(); {
	case next.root.certificate.Subject.String() != name:
		return fmt.Errorf("the root of %s is called %q, that of %s %q: expected the same name, as a successor that this command has made has it", a.Dir(), name, next.Dir(), next.root.certificate.Subject)
	case next.root.certificate.Equal(a.root.certificate):
		return fmt.Errorf("%s and %s have the same root: expected a successor with a key of its own", a.Dir(), next.Dir())
	case next.root.Issuer == nil:
		return next.errNoRootKey("certifying the old root")
	}
	if err := a.certifyRoot(ctx, next.root.certificate, a.Path(NewWithOldFile), next.Path(NewWithOldFile)); err != nil {
		return err
	}
	if err := next.certifyRoot(ctx, a.root.certificate, a.Path(OldWithNewFile), next.Path(OldWithNewFile)); err != nil {
		return err
	}
	return durable.WriteFile(next.Path(OldRootFile), pemfile.EncodeCertificates(a.root.certificate), 0o644)
}

// certifyRoot signs another root's key, for as long as both roots last, unless that
// was done before.
func (a *Authority) certifyRoot(ctx context.Context, root *x509.Certificate, own, other string) error {
	c, err := pemfile.ReadCertificate(own)
	if errors.Is(err, fs.ErrNotExist) {
		if c, err = pemfile.ReadCertificate(other); errors.Is(err, fs.ErrNotExist) {
			c, err = a.cross(ctx, root)
		}
	}
	if err != nil {
		return err
	}
	for _, path := range []string{own, other} {
		if err := durable.WriteFile(path, pemfile.EncodeCertificates(c), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (a *Authority) cross(ctx context.Context, root *x509.Certificate) (*x509.Certificate, error) {
	checked, err := a.root.Prepare(issuance.Request{Profile: issuance.Cross, Subject: root.RawSubject, PublicKey: root.PublicKey,
		Lifetime: root.NotAfter.Sub(a.cfg.Now())})
	if err != nil {
		return nil, err
	}
	c, err := a.root.Issue(checked)
	if err != nil {
		return nil, err
	}
	return c, a.record(ctx, a.root, c, issuance.Cross)
}

// Roots returns the root, and where it has a predecessor or a successor what shows
// one of them by the other: OldWithOld, NewWithOld, OldWithNew (RFC 7030 section
// 4.1.3).
func (a *Authority) Roots() ([]*x509.Certificate, error) {
	roots := []*x509.Certificate{a.root.certificate}
	for _, file := range []string{OldRootFile, NewWithOldFile, OldWithNewFile} {
		c, err := pemfile.ReadCertificate(a.Path(file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, c)
	}
	return roots, nil
}
