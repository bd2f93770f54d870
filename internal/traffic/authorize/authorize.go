package authorize

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
	"countersign.dev/internal/wire/http1"
)

// A Question is everything a decision rests on.
type Question struct {
	// Policy is what the listener demands under the name the client asked for.
	Policy *handshake.Policy
	// Client is who asks; the zero value is nobody and is refused.
	Client identify.Client
	// Denial is what the handshake found, on a listener that answers instead
	// of closing (on_failure: respond).
	Denial *countersign.Denial
	// Devices is what the listener demands of devices; nil: nothing.
	Devices *devices.Rule
	// Device is what the client's device may have; the zero value is nothing.
	Device devices.Standing
	// Action is what the request was routed to.
	Action route.Action
	// Require is what the listener demands of every request; nil: nothing.
	Require *credential.Requirement
	// Shown is what the request shows; Decide gives it the Client. nil: nothing.
	Shown *credential.Question
}

// A Grant is leave to forward one request to one target group. Its zero value
// grants nothing.
type Grant struct {
	action  route.Action
	client  identify.Client
	require *credential.Requirement // of the listener
	proof   credential.Proof
	given   bool
}

// Given reports whether g was made by Decide.
func (g Grant) Given() bool { return g.given }

// Action is what was granted.
func (g Grant) Action() route.Action { return g.action }

// Client is to whom it was granted.
func (g Grant) Client() identify.Client { return g.client }

// Proof is of the credential that was shown; the zero value if none had to be.
func (g Grant) Proof() credential.Proof { return g.proof }

// Withholds reports whether targets are not to see the field of the request,
// because it has a credential that was meant for us.
func (g Grant) Withholds(fl *http1.Field) bool {
	return g.require.Withholds(fl) || g.action.Require.Withholds(fl)
}

// Decide answers q with a Grant, or with the reason why not.
func Decide(q Question) (Grant, *countersign.Denial) {
	if q.Denial != nil {
		return Grant{}, q.Denial
	}
	if !q.Client.Known() || q.Policy == nil {
		return Grant{}, countersign.Deny(countersign.StageAuthorize, countersign.CredentialNotProven,
			"the request came to authorization without an identified client; this is a fault in countersign, please report it")
	}
	if lapse := q.Client.Lapse(); lapse != nil {
		return renewal(q, lapse)
	}
	switch q.Policy.Mode {
	case countersign.ClientAuthOff:
	case countersign.ClientAuthPassthrough:
	case countersign.ClientAuthOptional:
		if !q.Client.Anonymous() && !q.Client.Verified() {
			return Grant{}, unverified(q)
		}
	default: // verify, and whatever is not understood
		if q.Client.Anonymous() {
			return Grant{}, countersign.Deny(countersign.StageAuthorize, countersign.ClientCertMissing,
				"policy %q demands a client certificate and the client presented none; give it one, with its private key", q.Policy.Name)
		}
		if !q.Client.Verified() {
			return Grant{}, unverified(q)
		}
	}
	if q.Devices.Enforces() && !q.Action.Public {
		if denial := q.Device.Refusal(q.Action.Enrolls); denial != nil {
			return Grant{}, denial
		}
	}
	if q.Action.Refuse != nil {
		return Grant{}, q.Action.Refuse
	}
	g := Grant{action: q.Action, client: q.Client, require: q.Require, given: true}
	if q.Action.Public || q.Require == nil && q.Action.Require == nil {
		return g, nil
	}
	shown := q.Shown
	if shown == nil {
		shown = &credential.Question{}
	}
	shown.Client = q.Client
	var denial *countersign.Denial
	if g.proof, denial = credential.Judge(shown, q.Require, q.Action.Require); denial != nil {
		return Grant{}, denial
	}
	return g, nil
}

// renewal decides about a client whose certificate has expired: if its device is
// active, it may ask for a new one. Nothing else is for it, what is public included.
func renewal(q Question, lapse *countersign.Denial) (Grant, *countersign.Denial) {
	if !q.Action.Renews || q.Action.Respond == nil {
		return Grant{}, lapse
	}
	if denial := q.Device.RenewalRefusal(); denial != nil {
		return Grant{}, denial
	}
	return Grant{action: q.Action, client: q.Client, given: true}, nil
}

func unverified(q Question) *countersign.Denial {
	return countersign.Deny(countersign.StageAuthorize, countersign.ClientCertUntrusted,
		"policy %q demands a verified certificate and the client's was not verified against a trust store; let the client connect to a listener that verifies it", q.Policy.Name)
}
