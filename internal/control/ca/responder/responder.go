package responder

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	_ "crypto/sha1" // #nosec: the hash by which clients name the issuer, RFC 5019 section 2.1.1
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/ledger"
	"countersign.dev/internal/control/ca/pubkey"
	"countersign.dev/internal/wire/dn"
)

const (
	// validity of an answer, from now to nextUpdate: how long a client may go on
	// believing it.
	validity = time.Hour
	// backdate forgives clients whose clock is behind ours.
	backdate = 5 * time.Minute
)

// An Authority is what a responder answers for.
type Authority interface {
	// Issuers returns its issuing authorities, in the order they were made.
	Issuers() []*x509.Certificate
	// Delegate certifies a key as one that answers in the place of an issuer.
	Delegate(ctx context.Context, issuer *x509.Certificate, public crypto.PublicKey) (*x509.Certificate, error)
	// Status returns what is on record of a serial number.
	Status(ctx context.Context, serial string) (c ledger.Certificate, ok bool, err error)
}

// Config makes a Responder.
type Config struct {
	Authority Authority
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// A Responder answers requests. It is safe for concurrent use.
type Responder struct {
	cfg Config

	mu        sync.Mutex
	delegates map[string]*delegate // by the issuer's subject key identifier
}

// A delegate signs in the place of an issuer.
type delegate struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// New returns a Responder. Its first answer for an issuer has it certified.
func New(c Config) *Responder {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Responder{cfg: c, delegates: map[string]*delegate{}}
}

// An Answer is a response, in DER.
type Answer struct {
	DER        []byte
	ThisUpdate time.Time
	NextUpdate time.Time // zero: it must not be kept
}

// Answer returns the response to a request; that something is wrong with the
// request or here is a response as well (RFC 6960 section 2.3).
func (r *Responder) Answer(ctx context.Context, request []byte) Answer {
	asked, err := ocsp.ParseRequest(request)
	if err != nil {
		return Answer{DER: ocsp.MalformedRequestErrorResponse}
	}
	issuer := r.issuer(asked)
	if issuer == nil {
		return Answer{DER: ocsp.UnauthorizedErrorResponse} // RFC 5019 section 2.2.3
	}
	answer, err := r.about(ctx, issuer, asked)
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Logger.Error("an OCSP request was not answered", "issuer", issuer.Subject.CommonName, "error", err)
		}
		return Answer{DER: ocsp.TryLaterErrorResponse}
	}
	return answer
}

// issuer finds the issuer that the request names by two hashes; nil: none of ours.
func (r *Responder) issuer(asked *ocsp.Request) *x509.Certificate {
	if !asked.HashAlgorithm.Available() {
		return nil
	}
	hash := func(data []byte) []byte {
		h := asked.HashAlgorithm.New()
		h.Write(data)
		return h.Sum(nil)
	}
	for _, issuer := range r.cfg.Authority.Issuers() {
		key, err := pubkey.Bits(issuer.RawSubjectPublicKeyInfo)
		if err == nil && bytes.Equal(hash(issuer.RawSubject), asked.IssuerNameHash) && bytes.Equal(hash(key), asked.IssuerKeyHash) {
			return issuer
		}
	}
	return nil
}

func (r *Responder) about(ctx context.Context, issuer *x509.Certificate, asked *ocsp.Request) (Answer, error) {
	signer, err := r.delegate(ctx, issuer)
	if err != nil {
		return Answer{}, err
	}
	now := r.cfg.Now().UTC().Truncate(time.Second)
	response := ocsp.Response{
		Status: ocsp.Unknown, SerialNumber: asked.SerialNumber, IssuerHash: asked.HashAlgorithm, Certificate: signer.certificate,
		ThisUpdate: now.Add(-backdate), NextUpdate: now.Add(validity),
	}
	var c ledger.Certificate
	known := false
	if asked.SerialNumber.Sign() > 0 && asked.SerialNumber.BitLen() <= 160 {
		if c, known, err = r.cfg.Authority.Status(ctx, dn.Serial(asked.SerialNumber)); err != nil {
			return Answer{}, err
		}
	}
	// An issuer speaks for its own certificates; "" is from when there was one.
	if known && c.Issuer != fmt.Sprintf("%X", issuer.SubjectKeyId) && (c.Issuer != "" || !issuer.Equal(r.cfg.Authority.Issuers()[0])) {
		known = false
	}
	switch {
	case known && c.Revoked():
		response.Status, response.RevokedAt = ocsp.Revoked, c.RevokedAt
		response.RevocationReason = crl.Reason(c.Reason).Code()
	case known:
		response.Status = ocsp.Good
	}
	der, err := ocsp.CreateResponse(issuer, signer.certificate, response, signer.key)
	if err != nil {
		return Answer{}, fmt.Errorf("sign: %w", err)
	}
	answer := Answer{DER: der, ThisUpdate: response.ThisUpdate, NextUpdate: response.NextUpdate}
	if !known {
		answer.NextUpdate = time.Time{} // it may be issued the next moment
	}
	return answer, nil
}

// delegate returns who signs for that issuer, made anew after half its time.
func (r *Responder) delegate(ctx context.Context, issuer *x509.Certificate) (*delegate, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, now := string(issuer.SubjectKeyId), r.cfg.Now()
	d := r.delegates[id]
	if d != nil && now.Before(d.certificate.NotAfter.Add(-d.certificate.NotAfter.Sub(d.certificate.NotBefore)/2)) {
		return d, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// For everybody who will ask, not for who happens to ask now.
	certificate, err := r.cfg.Authority.Delegate(context.WithoutCancel(ctx), issuer, key.Public())
	switch {
	case err == nil:
		d = &delegate{certificate, key}
		r.delegates[id] = d
		return d, nil
	case d != nil && now.Add(validity).Before(d.certificate.NotAfter):
		r.cfg.Logger.Warn("the OCSP responder's certificate was not renewed; the old one serves on", "until", d.certificate.NotAfter, "error", err)
		return d, nil
	}
	return nil, errors.Join(errors.New("the responder has no certificate"), err)
}
