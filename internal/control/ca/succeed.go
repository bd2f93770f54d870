package ca

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"strings"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/succession"
)

// Rollover makes the next issuing authority, which takes the root's key. From
// then on it issues; those before it go on signing their own lists until they
// end, so that what they have issued stays good until it expires. A Lifetime of 0 is
// DefaultIssuingLifetime.
func (a *Authority) Rollover(ctx context.Context, n succession.Next) (*x509.Certificate, error) {
	n.Lifetime = cmp.Or(n.Lifetime, DefaultIssuingLifetime)
	certificate, err := succession.Rollover(ctx, a.dir, n)
	if err != nil {
		return nil, err
	}
	// Its list, empty, before anybody looks for it.
	_, err = a.CRL(0)
	return certificate, err
}

// Succeed makes the authority that takes the place of a: another root with the name
// of the old one and another key, each certified by the other, and an issuing
// authority with the next number below it. So whoever has one of the roots alone
// believes what either has issued. f says the rest; its Name is of no account. What
// was interrupted is gone on with.
func (a *Authority) Succeed(ctx context.Context, f Founding) (*Authority, error) {
	if a.dir.Root().Issuer == nil {
		return nil, directory.NoRootKey("certifying another root")
	}
	issuers, err := a.dir.Latest()
	if err != nil {
		return nil, err
	}
	next, err := Open(f.Config)
	if errors.Is(err, fs.ErrNotExist) {
		f.Name, f.first = strings.TrimSuffix(a.Root().Subject.CommonName, succession.RootSuffix), len(issuers)+1+succession.Before(issuers[0].Certificate)
		next, err = Init(f)
	}
	if err != nil {
		return nil, err
	}
	if err := succession.CertifyEachOther(ctx, a.dir, next.dir); err != nil {
		return nil, errors.Join(err, next.Close())
	}
	return next, nil
}

// Roots returns the root, and where it has a predecessor or a successor what shows
// one of them by the other: OldWithOld, NewWithOld, OldWithNew (RFC 7030 section
// 4.1.3).
func (a *Authority) Roots() ([]*x509.Certificate, error) { return succession.Roots(a.dir) }
