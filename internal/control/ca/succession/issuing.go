package succession

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev/internal/control/ca/directory"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/durable"
)

// A Next is what the next issuing authority is to be.
type Next struct {
	Key      issuance.KeyType
	Lifetime time.Duration // never beyond the root's end
	Token    string        // URI of its key in a token; "": in a file
}

// Rollover makes the next issuing authority of a directory, which takes the root's
// key. It has no list yet.
func Rollover(ctx context.Context, d *directory.Directory, n Next) (_ *x509.Certificate, err error) {
	unlock, err := durable.Lock(d.Path(directory.ListsLockFile))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return succeed(ctx, d, n)
}

// succeed makes the authority, its certificate last: that is what puts it in use.
func succeed(ctx context.Context, d *directory.Directory, n Next) (*x509.Certificate, error) {
	issuers, err := d.Latest()
	if err != nil {
		return nil, err
	}
	if d.Root().Issuer == nil {
		return nil, directory.NoRootKey("making an issuing authority")
	}
	number := len(issuers) + 1
	key, err := d.CreateIssuingKey(number, n.Key, n.Token)
	if err != nil {
		return nil, err
	}
	defer key.Close() // it is opened anew from its file
	subject, err := request.CommonName(fmt.Sprintf("%s %d", baseName(issuers[0].Certificate), number+Before(issuers[0].Certificate)))
	if err != nil {
		return nil, err
	}
	checked, err := d.Root().Prepare(issuance.Request{Profile: issuance.Issuing, Subject: subject, PublicKey: key.Public(), Lifetime: n.Lifetime})
	if err != nil {
		return nil, err
	}
	certificate, err := d.Root().Issue(checked)
	if err != nil {
		return nil, err
	}
	if err := d.Record(ctx, d.Root(), certificate, issuance.Issuing); err != nil {
		return nil, err
	}
	bundle := []*x509.Certificate{d.Root().Certificate, certificate}
	for _, s := range slices.Backward(issuers) {
		if d.Now().Before(s.Certificate.NotAfter) {
			bundle = append(bundle, s.Certificate)
		}
	}
	if err := durable.WriteFile(d.Path(directory.BundleFile), pemfile.EncodeCertificates(bundle...), 0o644); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(d.Path(directory.IssuingFile(directory.IssuingCertFile, number)), pemfile.EncodeCertificates(certificate), 0o644); err != nil {
		return nil, err
	}
	_, err = d.Latest()
	return certificate, err
}

var counted = regexp.MustCompile(` \d+$`)

// Before is how many issuing authorities there were before this first one, by its
// name: those of a predecessor.
func Before(first *x509.Certificate) int {
	n, err := strconv.Atoi(strings.TrimPrefix(counted.FindString(first.Subject.CommonName), " "))
	if err != nil || n < 1 {
		return 0
	}
	return n - 1
}

// baseName is the name of the first issuing authority; those after it are
// numbered, for lists and requests tell authorities apart by their names.
func baseName(c *x509.Certificate) string { return counted.ReplaceAllString(c.Subject.CommonName, "") }
