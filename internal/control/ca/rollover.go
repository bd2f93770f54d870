package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev/internal/control/ca/holder"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/durable"
)

// A Succession is what the next issuing authority is to be. Its zero values are
// the defaults.
type Succession struct {
	Key      issuance.KeyType
	Lifetime time.Duration // 0: DefaultIssuingLifetime; never beyond the root's end
	Token    string        // URI of its key in a token; "": in a file
}

// Rollover makes the next issuing authority, which takes the root's key. From
// then on it issues; those before it go on signing their own lists until they
// end, so that what they have issued stays good until it expires.
func (a *Authority) Rollover(ctx context.Context, s Succession) (_ *x509.Certificate, err error) {
	unlock, err := durable.Lock(a.Path(listsLockFile))
	if err != nil {
		return nil, err
	}
	certificate, err := a.succeed(ctx, s)
	if err := errors.Join(err, unlock()); err != nil {
		return nil, err
	}
	// Its list, empty, before anybody looks for it.
	_, err = a.CRL(0)
	return certificate, err
}

// succeed makes the authority, its certificate last: that is what puts it in use.
func (a *Authority) succeed(ctx context.Context, s Succession) (*x509.Certificate, error) {
	issuers, err := a.latest()
	if err != nil {
		return nil, err
	}
	if a.root.Issuer == nil {
		return nil, a.errNoRootKey("making an issuing authority")
	}
	number := len(issuers) + 1
	certificatePath, keyPath := a.Path(issuingFile(IssuingCertFile, number)), a.Path(issuingFile(IssuingKeyFile, number))
	// Without a certificate it is what an earlier attempt has left.
	if err := os.Remove(keyPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	key, err := holder.Create(holder.Place{Path: keyPath, Passphrase: a.cfg.Passphrase, Token: s.Token}, s.Key)
	if err != nil {
		return nil, err
	}
	defer key.Close() // it is opened anew from its file
	subject, err := request.CommonName(fmt.Sprintf("%s %d", baseName(issuers[0].certificate), number+before(issuers[0].certificate)))
	if err != nil {
		return nil, err
	}
	lifetime := s.Lifetime
	if lifetime == 0 {
		lifetime = DefaultIssuingLifetime
	}
	checked, err := a.root.Prepare(issuance.Request{Profile: issuance.Issuing, Subject: subject, PublicKey: key.Public(), Lifetime: lifetime})
	if err != nil {
		return nil, err
	}
	certificate, err := a.root.Issue(checked)
	if err != nil {
		return nil, err
	}
	if err := a.record(ctx, a.root, certificate, issuance.Issuing); err != nil {
		return nil, err
	}
	bundle := []*x509.Certificate{a.root.certificate, certificate}
	for _, s := range slices.Backward(issuers) {
		if a.cfg.Now().Before(s.certificate.NotAfter) {
			bundle = append(bundle, s.certificate)
		}
	}
	if err := durable.WriteFile(a.Path(BundleFile), pemfile.EncodeCertificates(bundle...), 0o644); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(certificatePath, pemfile.EncodeCertificates(certificate), 0o644); err != nil {
		return nil, err
	}
	_, err = a.latest()
	return certificate, err
}

var counted = regexp.MustCompile(` \d+$`)

// before is how many issuing authorities there were before this first one, by its
// name: those of a predecessor.
func before(first *x509.Certificate) int {
	n, err := strconv.Atoi(strings.TrimPrefix(counted.FindString(first.Subject.CommonName), " "))
	if err != nil || n < 1 {
		return 0
	}
	return n - 1
}

// baseName is the name of the first issuing authority; those after it are
// numbered, for lists and requests tell authorities apart by their names.
func baseName(c *x509.Certificate) string { return counted.ReplaceAllString(c.Subject.CommonName, "") }
