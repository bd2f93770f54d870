package store

import (
	"context"
	"time"

	"countersign.dev"
)

// A Standing is what of a device decides whether it is served.
type Standing struct {
	ID    string
	State countersign.State
	// CutOff is when the device was last revoked or retired; zero: never.
	CutOff time.Time
	// Credentials are in the order of their fingerprints.
	Credentials []CredentialStanding
}

// A CredentialStanding is what of a credential decides whether it may be used.
type CredentialStanding struct {
	Fingerprint [32]byte
	State       countersign.CredentialState
}

// Standings reads what nodes have to know of many devices. It is the question that
// a connecting device waits for, so that it costs one round trip.
type Standings interface {
	// Standings returns that of each of the devices that exists, in the order of
	// the IDs.
	Standings(ctx context.Context, ids []string) ([]Standing, error)
}

// A Gathering makes Standings of rows, one for each credential, in the order of
// the IDs.
type Gathering struct{ Standings []Standing }

// Add takes a row; of a device without credentials it has no fingerprint.
func (g *Gathering) Add(s Standing, fingerprint []byte, state countersign.CredentialState) {
	if n := len(g.Standings); n == 0 || g.Standings[n-1].ID != s.ID {
		g.Standings = append(g.Standings, s)
	}
	if len(fingerprint) > 0 {
		last := &g.Standings[len(g.Standings)-1]
		last.Credentials = append(last.Credentials, CredentialStanding{Fingerprint: [32]byte(fingerprint), State: state})
	}
}
