package succession

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/durable"
)

// RootSuffix is what the name of a root ends with.
const RootSuffix = " Root"

// CertifyEachOther has the root of each of two directories certify that of the other:
// whoever has one of them alone believes what either has issued. What was interrupted
// is gone on with.
func CertifyEachOther(ctx context.Context, old, next *directory.Directory) error {
	switch name := old.Root().Certificate.Subject.String(); {
	case next.Root().Certificate.Subject.String() != name:
		return fmt.Errorf("the root of %s is called %q, that of %s %q: expected the same name, as a successor that this command has made has it", old.Dir(), name, next.Dir(), next.Root().Certificate.Subject)
	case next.Root().Certificate.Equal(old.Root().Certificate):
		return fmt.Errorf("%s and %s have the same root: expected a successor with a key of its own", old.Dir(), next.Dir())
	case next.Root().Issuer == nil:
		return directory.NoRootKey("certifying the old root")
	}
	if err := certifyRoot(ctx, old, next.Root().Certificate, old.Path(directory.NewWithOldFile), next.Path(directory.NewWithOldFile)); err != nil {
		return err
	}
	if err := certifyRoot(ctx, next, old.Root().Certificate, old.Path(directory.OldWithNewFile), next.Path(directory.OldWithNewFile)); err != nil {
		return err
	}
	return durable.WriteFile(next.Path(directory.OldRootFile), pemfile.EncodeCertificates(old.Root().Certificate), 0o644)
}

// certifyRoot signs another root's key, for as long as both roots last, unless that
// was done before.
func certifyRoot(ctx context.Context, d *directory.Directory, root *x509.Certificate, own, other string) error {
	c, err := pemfile.ReadCertificate(own)
	if errors.Is(err, fs.ErrNotExist) {
		if c, err = pemfile.ReadCertificate(other); errors.Is(err, fs.ErrNotExist) {
			c, err = cross(ctx, d, root)
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

func cross(ctx context.Context, d *directory.Directory, root *x509.Certificate) (*x509.Certificate, error) {
	checked, err := d.Root().Prepare(issuance.Request{Profile: issuance.Cross, Subject: root.RawSubject, PublicKey: root.PublicKey,
		Lifetime: root.NotAfter.Sub(d.Now())})
	if err != nil {
		return nil, err
	}
	c, err := d.Root().Issue(checked)
	if err != nil {
		return nil, err
	}
	return c, d.Record(ctx, d.Root(), c, issuance.Cross)
}

// Roots returns the root of d, and where it has a predecessor or a successor what shows
// one of them by the other: OldWithOld, NewWithOld, OldWithNew (RFC 7030 section
// 4.1.3).
func Roots(d *directory.Directory) ([]*x509.Certificate, error) {
	roots := []*x509.Certificate{d.Root().Certificate}
	for _, file := range []string{directory.OldRootFile, directory.NewWithOldFile, directory.OldWithNewFile} {
		c, err := pemfile.ReadCertificate(d.Path(file))
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
