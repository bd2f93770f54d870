package traffic

import (
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/forward/idheader"
)

// A statement is the token by which one target group is told of the client. It is
// kept until half of its lifetime is over, so that a request costs no signature.
type statement struct {
	group  string
	device idheader.Device
	proof  credential.Proof
	idheader.Statement
}

// maxStatements is how many are kept for a connection: of as many groups, or of as
// many who share it behind a proxy of theirs.
const maxStatements = 16

// states returns the field with the token for the targets of a grant, nil where
// none is sent. It signs one if there is none for this group, state of the device
// and credential, or if that is getting old; under s.standing, so that requests of
// one connection share it.
func (s *session) states(grant authorize.Grant) ([]byte, *countersign.Denial) {
	plan, group, proof := s.listener.Identity, grant.Action().Forward, grant.Proof()
	if group == nil || !plan.States() {
		return nil, nil
	}
	var device idheader.Device
	if s.device != nil {
		device = idheader.Device{ID: s.device.Device(), State: s.stands().Word()}
	}
	// The time on the wall, not that of the request: its head may have taken long.
	now := time.Now()
	for i := range s.statements {
		known := &s.statements[i]
		if known.group != group.Name() || known.proof != proof {
			continue
		}
		if known.device == device && known.Holds(now) {
			return known.Field(), nil
		}
		s.statements = append(s.statements[:i], s.statements[i+1:]...)
		break
	}
	var shown idheader.Credential
	rendered := len(s.identity)
	if proof.Given() {
		rendered = len(s.shows.told)
		shown = idheader.Credential{Subject: proof.Subject(), Type: proof.Type(), Name: proof.Credential().Name}
	}
	made, denial := plan.State(s.client, device, shown, group.Name(), rendered, now)
	if denial != nil {
		return nil, denial
	}
	if len(s.statements) == maxStatements {
		s.statements = append(s.statements[:0], s.statements[1:]...) // the oldest
	}
	if s.restated == nil {
		s.restated = s.restate
	}
	s.statements = append(s.statements, statement{group.Name(), device, proof, made})
	return made.Field(), nil
}

// restate is states for a request that had to wait.
func (s *session) restate(grant authorize.Grant) ([]byte, *countersign.Denial) {
	s.standing.Lock()
	defer s.standing.Unlock()
	return s.states(grant)
}
