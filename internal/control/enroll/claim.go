package enroll

import (
	"bytes"

	"countersign.dev/internal/control/enroll/claim"
	"countersign.dev/internal/store"
)

// mostAsked bounds how many different keys wait for one approval.
const mostAsked = 8

// claims decides whether the device has shown that it is the one. What waits for
// approval is kept: then the refusal is refusal, not err.
func (a *attempt) claims(d *store.EnrollmentDraft) (refusal *Refusal, err error) {
	e := &d.Enrollment
	switch how := a.office.claim(e); how {
	case ClaimNone:
	case ClaimSecret:
		switch {
		case e.Secret == nil:
			return nil, claimFailed("no secret was set for it; countersign device claim %s --secret does", a.id)
		case a.Secret == "":
			return nil, claimFailed("it has sent no secret")
		case !claim.SameSecret(e.Secret, a.Secret):
			return nil, claimFailed("its secret is wrong")
		}
	case ClaimKey:
		switch {
		case e.Key == nil:
			return nil, claimFailed("no key was pinned for it; countersign device claim %s --public-key does", a.id)
		case a.csr == nil:
			return nil, invalid("there is no signing request: the claim is the key")
		case !bytes.Equal(e.Key, a.key):
			return nil, claimFailed("its key is %s, %s is pinned", printed(a.key), printed(e.Key))
		}
	case ClaimApproval:
		if a.csr == nil {
			return nil, invalid("there is no signing request: its key is what an operator approves")
		}
		if bytes.Equal(e.Key, a.key) {
			return nil, nil
		}
		if e.Key != nil {
			return nil, claimFailed("the key %s was approved, this is %s", printed(e.Key), printed(a.key))
		}
		return a.ask(e)
	default:
		return nil, claimFailed("its claim %q is not known to this version", how)
	}
	return nil, nil
}

// ask keeps that somebody waits for approval. Who waits longest stays, so that
// nobody is pushed out.
func (a *attempt) ask(e *store.Enrollment) (*Refusal, error) {
	waits := refuse(202, "EnrollmentAwaitsApproval", "An operator has to approve the device.",
		"countersign device approve %s --public-key %s does", a.id, printed(a.key)).after(a.office.Retry)
	for _, asked := range e.Asked {
		if bytes.Equal(asked.Key, a.key) {
			return nil, waits // nothing is to be kept
		}
	}
	if len(e.Asked) == mostAsked {
		return nil, refuse(409, "EnrollmentKeyConflict", "Too many others wait to be approved as this device.",
			"%d keys wait for approval already; countersign device approve %s --none forgets them", mostAsked, a.id)
	}
	e.Asked = append(e.Asked, store.Asked{Key: a.key, Address: a.By.Address.String(), At: a.now.UTC()})
	return waits, nil
}

// claim is that of a device.
func (s *Settings) claim(e *store.Enrollment) Claim {
	if e.Claim != "" {
		return Claim(e.Claim)
	}
	return s.Claim
}
