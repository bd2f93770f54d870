package ocsp

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A Status is what a responder says of a certificate.
type Status string

// The statuses. To be good is not to be known to be revoked (RFC 6960 section 2.2).
const (
	Good    Status = "good"
	Revoked Status = "revoked"
	Unknown Status = "unknown"
)

// An Answer is what is known from asking.
type Answer struct {
	Status     Status // "": there is no answer, and Fault says why
	Reason     crl.Reason
	RevokedAt  time.Time
	ThisUpdate time.Time
	NextUpdate time.Time // of a response without one, five minutes after ThisUpdate
	Responder  string    // its URL
	Fault      string
	Failures   int       // attempts to get a newer one that failed since, in a row
	Again      time.Time // when it is worth asking anew
}

// MaxResponse bounds a response, in bytes. One with a chain of certificates has
// five thousand.
const MaxResponse = 64 << 10

const (
	// skew is by how much the clocks here and at a responder may differ.
	skew = 5 * time.Minute
	// withoutNext is how long a response without nextUpdate counts, which says
	// that newer information is available all the time (RFC 6960 section 4.2.2.1).
	withoutNext = 5 * time.Minute
)

// A RefusalError is a response that is no answer: the responder cannot, or does
// not want to (RFC 6960 section 2.3).
type RefusalError struct{ Status ocsp.ResponseStatus }

// Error is the responder's word for it.
func (e *RefusalError) Error() string { return "it answers " + e.Status.String() }

// Temporary reports whether the responder is at fault, and not the question.
func (e *RefusalError) Temporary() bool {
	return e.Status == ocsp.InternalError || e.Status == ocsp.TryLater
}

// Check returns what a response says of the certificate in question at that
// moment. The error is *RefusalError, or says what is wrong with the response.
func (q Question) Check(response []byte, now time.Time) (Answer, error) {
	if len(response) > MaxResponse {
		return Answer{}, fmt.Errorf("the response has more than %d bytes", MaxResponse)
	}
	r, err := ocsp.ParseResponseForCert(response, &x509.Certificate{SerialNumber: q.Serial}, nil)
	if refused, ok := errors.AsType[ocsp.ResponseError](err); ok {
		return Answer{}, &RefusalError{refused.Status}
	}
	if err != nil {
		return Answer{}, fmt.Errorf("the response is not one of RFC 6960: %w", err)
	}
	delegate, err := q.signed(r, now)
	if err != nil {
		return Answer{}, err
	}
	if err := q.concerns(r.TBSResponseData); err != nil {
		return Answer{}, err
	}
	a := Answer{ThisUpdate: r.ThisUpdate, NextUpdate: r.NextUpdate}
	if a.NextUpdate.IsZero() {
		a.NextUpdate = a.ThisUpdate.Add(withoutNext)
	}
	switch {
	case a.ThisUpdate.After(now.Add(skew)):
		return Answer{}, fmt.Errorf("the response is dated %s, in the future (it is now %s): the clock here or at the responder is wrong", describe.Date(a.ThisUpdate), describe.Date(now))
	case a.NextUpdate.Before(a.ThisUpdate):
		return Answer{}, fmt.Errorf("the response should have been replaced (%s) before it was made (%s)", describe.Date(a.NextUpdate), describe.Date(a.ThisUpdate))
	case now.After(a.NextUpdate) && r.NextUpdate.IsZero():
		return Answer{}, fmt.Errorf("the response is of %s and says not how long it counts; want one not older than %v", describe.Date(a.ThisUpdate), withoutNext)
	case now.After(a.NextUpdate):
		return Answer{}, fmt.Errorf("the response of %s should have been replaced by %s", describe.Date(a.ThisUpdate), describe.Date(a.NextUpdate))
	}
	if delegate != nil && delegate.NotAfter.Before(a.NextUpdate) {
		a.NextUpdate = delegate.NotAfter
	}
	switch r.Status {
	case ocsp.Good:
		a.Status = Good
	case ocsp.Revoked:
		a.Status, a.RevokedAt = Revoked, r.RevokedAt
		if 0 <= r.RevocationReason && r.RevocationReason <= 10 {
			a.Reason = crl.Reason(r.RevocationReason)
		}
	default:
		a.Status = Unknown
	}
	return a, nil
}

// signed says who signed r, if that is somebody who may (RFC 6960 section
// 4.2.2.2): the issuer, or a delegate, which it returns. That the certificate in
// the response signed it has been checked.
func (q Question) signed(r *ocsp.Response, now time.Time) (delegate *x509.Certificate, err error) {
	signer := r.Certificate
	if signer == nil || isIssuer(signer, q.Issuer) {
		if err := r.CheckSignatureFrom(q.Issuer); err != nil {
			return nil, fmt.Errorf("the response is not signed by the issuer %s, and has no certificate of who else signed it: %w", describe.Certificate(q.Issuer), err)
		}
		return nil, nil
	}
	if !bytes.Equal(signer.RawIssuer, q.Issuer.RawSubject) {
		return nil, fmt.Errorf("%s signed the response, whom the issuer %s has not certified itself", describe.Certificate(signer), describe.Subject(q.Issuer))
	}
	if err := signer.CheckSignatureFrom(q.Issuer); err != nil {
		return nil, fmt.Errorf("%s signed the response, whom the issuer %s has not certified: %w", describe.Certificate(signer), describe.Subject(q.Issuer), err)
	}
	switch {
	case !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning): // anyExtendedKeyUsage is not enough
		return nil, fmt.Errorf("%s signed the response, whose certificate does not say that it may (the extended key usage OCSPSigning)", describe.Certificate(signer))
	case signer.KeyUsage != 0 && signer.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0:
		return nil, fmt.Errorf("%s signed the response, whose key usage does not let it", describe.Certificate(signer))
	case len(signer.UnhandledCriticalExtensions) > 0:
		return nil, fmt.Errorf("%s signed the response, whose certificate has the critical extension %v, which is not understood here", describe.Certificate(signer), signer.UnhandledCriticalExtensions[0])
	case now.Before(signer.NotBefore) || now.After(signer.NotAfter):
		return nil, fmt.Errorf("%s signed the response, whose certificate is valid from %s to %s", describe.Certificate(signer), describe.Date(signer.NotBefore), describe.Date(signer.NotAfter))
	}
	return signer, nil
}

// isIssuer reports whether c is a certificate of the issuer's, which may have
// several for its key.
func isIssuer(c, issuer *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, issuer.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo)
}

// concerns checks that the response is about this very certificate, and that it
// has the nonce. A serial number alone is that of many authorities' certificates.
func (q Question) concerns(tbs []byte) error {
	ids, extensions, err := take(tbs)
	if err != nil {
		return fmt.Errorf("the response is not one of RFC 6960: %w", err)
	}
	for _, id := range ids {
		if id.Serial == nil || id.Serial.Cmp(q.Serial) != 0 {
			continue
		}
		algorithm := hashOf(id.Hash.Algorithm)
		if algorithm == 0 {
			return fmt.Errorf("the response names the issuer by an unknown hash, %v", id.Hash.Algorithm)
		}
		name, key, err := hashes(q.Issuer, algorithm)
		if err != nil {
			return err
		}
		if !bytes.Equal(name, id.NameHash) || !bytes.Equal(key, id.KeyHash) {
			return fmt.Errorf("the response is about a certificate with this serial number of another issuer than %s", describe.Certificate(q.Issuer))
		}
		return q.nonce(extensions)
	}
	return errors.New("the response is not about this certificate")
}

// nonce checks the extensions of a response.
func (q Question) nonce(extensions []pkix.Extension) error {
	found := false
	for _, e := range extensions {
		if !e.Id.Equal(oidNonce) {
			if e.Critical {
				return fmt.Errorf("the response has the critical extension %v, which is not understood here", e.Id)
			}
			continue
		}
		if len(q.Nonce) == 0 || found {
			continue
		}
		var nonce []byte
		if rest, err := asn1.Unmarshal(e.Value, &nonce); err != nil || len(rest) > 0 {
			nonce = e.Value // as before RFC 6960
		}
		if subtle.ConstantTimeCompare(nonce, q.Nonce) != 1 {
			return errors.New("the response has another nonce than the request: it answers somebody else's, or an earlier one")
		}
		found = true
	}
	if len(q.Nonce) > 0 && !found {
		return errors.New("the response lacks the nonce of the request, and ocsp.nonce is true; a responder that signs beforehand cannot repeat it")
	}
	return nil
}
