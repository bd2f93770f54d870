package countersign

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Device is a thing with a certificate of its own, as the registry knows it.
type Device struct {
	// ID is normalized: two spellings of one MAC address are one device.
	ID     string
	State  State
	Labels map[string]string
	Notes  string

	// Created is when the device was provisioned.
	Created time.Time
	// FirstSeen, LastSeen and LastAddress are sampled: the registry is told of
	// a device every now and then, not of every request. They are zero for a
	// device that never came.
	FirstSeen   time.Time
	LastSeen    time.Time
	LastAddress netip.Addr

	// Revision counts the entries of the device's trail, from 1.
	Revision int64
}

// A Credential is one certificate that was issued to a device. A device has many
// in its life: renewal adds one.
type Credential struct {
	Device string
	// Serial is upper-case hex with an even number of digits, as in Identity.
	Serial string
	// Fingerprint is the SHA-256 of the certificate's DER.
	Fingerprint [32]byte
	// Issuer is the issuer's distinguished name, as in Identity.
	Issuer    string
	NotBefore time.Time
	NotAfter  time.Time
	State     CredentialState
	// Added is when the registry learned of it: the latest is the device's own.
	Added time.Time
}

// A CredentialState says whether a certificate may still be used. That it has
// expired is said by its validity, not here.
type CredentialState string

// The states of a credential. Revoked is for ever (RFC 5280 section 5.3.1).
const (
	CredentialValid   CredentialState = "valid"
	CredentialRevoked CredentialState = "revoked"
)

// A State is where a device is in its life.
type State string

// The states of a device.
const (
	DeviceProvisioned State = "provisioned" // known, but nothing is to be had yet
	DeviceReady       State = "ready"       // it may fetch its certificate
	DeviceActive      State = "active"      // it has its certificate
	DeviceSuspended   State = "suspended"   // kept out for a while, keeps its certificate
	DeviceRevoked     State = "revoked"     // cut off; its certificates are worth nothing any more
	DeviceRetired     State = "retired"     // out of service
)

// States returns every state, in the order of a life.
func States() []State {
	return []State{DeviceProvisioned, DeviceReady, DeviceActive, DeviceSuspended, DeviceRevoked, DeviceRetired}
}

// ParseState returns the state that s names.
func ParseState(s string) (State, error) {
	if slices.Contains(States(), State(s)) {
		return State(s), nil
	}
	return "", fmt.Errorf("device state %q: want %s", s, anyOf(States()))
}

// A Transition is one way in which the state of a device changes.
type Transition struct {
	// Verb is what is done, in the words of the command line.
	Verb string
	From []State
	To   State
	// EndsCredentials: the device's certificates are revoked with it.
	EndsCredentials bool
}

// Transitions returns every way in which a state changes. There is no other.
func Transitions() []Transition {
	return []Transition{
		{Verb: "ready", From: []State{DeviceProvisioned, DeviceRevoked}, To: DeviceReady},
		{Verb: "activate", From: []State{DeviceReady}, To: DeviceActive},
		{Verb: "suspend", From: []State{DeviceActive}, To: DeviceSuspended},
		{Verb: "resume", From: []State{DeviceSuspended}, To: DeviceActive},
		{Verb: "revoke", From: but(DeviceRevoked), To: DeviceRevoked, EndsCredentials: true},
		{Verb: "retire", From: but(DeviceRetired), To: DeviceRetired, EndsCredentials: true},
	}
}

func but(s State) []State {
	return slices.DeleteFunc(States(), func(o State) bool { return o == s })
}

// Change returns the transition that verb makes of a device in the state from.
// The error says what is possible instead.
func Change(verb string, from State) (Transition, error) {
	var possible, verbs []string
	for _, t := range Transitions() {
		verbs = append(verbs, t.Verb)
		allowed := slices.Contains(t.From, from)
		switch {
		case t.Verb == verb && allowed:
			return t, nil
		case t.Verb == verb:
			return Transition{}, fmt.Errorf("a device that is %s cannot %s: that is for one that is %s", from, passive(verb), anyOf(t.From))
		case allowed:
			possible = append(possible, t.Verb)
		}
	}
	if len(possible) == 0 {
		possible = verbs
	}
	return Transition{}, fmt.Errorf("%q is nothing that is done to a device: for one that is %s there is %s", verb, from, strings.Join(possible, ", "))
}

// passive puts a verb behind "cannot".
func passive(verb string) string {
	switch {
	case verb == "ready":
		return "be made ready"
	case strings.HasSuffix(verb, "e"):
		return "be " + verb + "d"
	}
	return "be " + verb + "ed"
}

func anyOf(states []State) string {
	words := make([]string, len(states))
	for i, s := range states {
		words[i] = string(s)
	}
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// A TrailEntry says what was done to a device, by whom and why. Entries are
// added with what they tell of, and never altered.
type TrailEntry struct {
	Device string
	// Number counts the entries of one device, from 1.
	Number int64
	At     time.Time
	// Who did it: an operator, a device, the program itself.
	Who string
	// What is the verb of a Transition, or add, import, edit, credential.
	What string
	// Why is the reason that was given.
	Why string
	// From is empty for a new device. From and To are the same where the state
	// did not change.
	From, To State
	// Detail is what else changed, for people.
	Detail string
	// Hash is over the entry and the hash of the one before: an entry cannot be
	// altered, taken out or put in without altering all that follow.
	Hash [32]byte
}
