package revocation

import (
	"crypto/x509"
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// A Mode says what an OCSP responder's answer decides.
type Mode string

// The modes. To be called revoked is to be refused in each but ModeOff.
const (
	ModeOff     Mode = "off"
	ModePrefer  Mode = "prefer"  // without an answer that counts, the lists decide
	ModeRequire Mode = "require" // without one the certificate is refused
)

// Asking says what is made of OCSP. The Checker asks nobody: it reads what is
// there.
type Asking struct {
	Mode    Mode       // "": off
	Answers *ocsp.View // what is known; nil in ModeOff
}

func (a *Asking) off() bool { return a.Mode == "" || a.Mode == ModeOff }

func (a *Asking) validate() error {
	switch {
	case a.off():
		return nil
	case a.Mode != ModePrefer && a.Mode != ModeRequire:
		return fmt.Errorf("revocation.ocsp is %q; want off, prefer or require", a.Mode)
	case a.Answers == nil:
		return fmt.Errorf("revocation.ocsp is %s, and there is nowhere to find answers", a.Mode)
	}
	return nil
}

// terms are equal where answers mean the same.
func (a *Asking) terms() string {
	if a.off() {
		return ""
	}
	return fmt.Sprintf("%s %x", a.Mode, a.Answers.Terms)
}

// A finding is what is known from a responder.
type finding struct {
	good   bool
	until  time.Time // if it is good: as long as it stays so by itself
	words  string    // for people; "" if nobody is asked
	denial *countersign.Denial
}

// decides reports whether the lists have no more to say than who is on them.
func (f *finding) decides() bool { return f.good || f.denial != nil }

// asked reads what is known; inWords: somebody wants to read it, too.
func (c *Checker) asked(cert, by *x509.Certificate, now time.Time, inWords bool) (f finding) {
	a := &c.cfg.Asking
	if a.off() {
		return f
	}
	answer := a.Answers.Find(by, cert.SerialNumber)
	inDate := answer != nil && answer.Status != "" && !now.After(answer.NextUpdate.Add(c.cfg.Grace))
	code, why := countersign.ClientCertOcspUnavailable, ""
	switch {
	case answer != nil && answer.Status == ocsp.Revoked: // until a newer answer says otherwise
		f.denial = called(cert, answer)
		return f
	case inDate && answer.Status == ocsp.Good:
		f.good, f.until = true, answer.NextUpdate.Add(c.cfg.Grace)
		if inWords {
			f.words = fmt.Sprintf("%s is good, says the OCSP responder %s (answer of %s, valid to %s)",
				describe.Certificate(cert), answer.Responder, describe.Date(answer.ThisUpdate), describe.Date(answer.NextUpdate))
		}
		return f
	case a.Mode == ModePrefer && !inWords:
		return f
	case inDate:
		code = countersign.ClientCertOcspUnknown
		why = fmt.Sprintf("the OCSP responder %s does not know it (answer of %s, valid to %s)",
			answer.Responder, describe.Date(answer.ThisUpdate), describe.Date(answer.NextUpdate))
	case answer == nil:
		why = "no OCSP responder has been asked about it yet"
	case answer.Status == "":
		why = answer.Fault
	default:
		why = fmt.Sprintf("the answer of the OCSP responder %s of %s counted until %s", answer.Responder, describe.Date(answer.ThisUpdate), describe.Date(answer.NextUpdate))
		if answer.Fault != "" {
			why += ", and there is no newer one: " + answer.Fault
		}
	}
	if a.Mode == ModeRequire {
		remedy := "see to the responder, or set revocation.ocsp to prefer"
		if code == countersign.ClientCertOcspUnknown {
			remedy = "is it the responder of this issuer, and up to date?"
		}
		f.denial = deny(code, "%s: %s, and revocation.ocsp is require; %s", describe.Certificate(cert), why, remedy)
		return f
	}
	f.words = fmt.Sprintf("%s: %s; the revocation lists decide, as revocation.ocsp is prefer", describe.Certificate(cert), why)
	return f
}

// called denies a certificate that a responder calls revoked.
func called(cert *x509.Certificate, a *ocsp.Answer) *countersign.Denial {
	remedy := "if the client is still wanted, issue it a new certificate"
	if a.Reason == crl.CertificateHold {
		remedy = "if the client is wanted again, let the authority take it off hold"
	}
	return deny(countersign.ClientCertOcspHit, "%s was revoked on %s, reason %s, says the OCSP responder %s (answer of %s, valid to %s); %s",
		describe.Certificate(cert), describe.Date(a.RevokedAt), a.Reason, a.Responder, describe.Date(a.ThisUpdate), describe.Date(a.NextUpdate), remedy)
}
