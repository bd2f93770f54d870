package traffic

import (
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/upstream"
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

// states returns the field with the token for targets of group, nil where none is
// sent. It signs one if there is none for this group, state of the device and
// credential, or if that is getting old; under s.standing, so that requests of one
// connection share it.
func (s *session) states(group *upstream.Group, standing devices.Standing, proof credential.Proof, rendered int) ([]byte, *countersign.Denial) {
	plan := s.listener.Identity
	if group == nil || !plan.States() {
		return nil, nil
	}
	var device idheader.Device
	if s.device != nil {
		device = idheader.Device{ID: s.device.Device(), State: standing.Word()}
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
	if proof.Given() {
		shown = idheader.Credential{Subject: proof.Subject(), Type: proof.Type(), Name: proof.Credential().Name}
	}
	made, denial := plan.State(s.client, device, shown, group.Name(), rendered, now)
	if denial != nil {
		return nil, denial
	}
	if len(s.statements) == maxStatements {
		s.statements = append(s.statements[:0], s.statements[1:]...) // the oldest
	}
	s.statements = append(s.statements, statement{group.Name(), device, proof, made})
	return made.Field(), nil
}
