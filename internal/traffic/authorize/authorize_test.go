package authorize_test

import (
	"testing"

	"countersign.dev"
	"countersign.dev/internal/traffic/authorize"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/route"
)

func policy(mode countersign.ClientAuthMode) *handshake.Policy {
	return &handshake.Policy{Name: "test", Mode: mode}
}

// A client that nobody identified gets nothing, whatever the policy says.
func TestNobodyIsRefused(t *testing.T) {
	for _, mode := range []countersign.ClientAuthMode{
		countersign.ClientAuthOff, countersign.ClientAuthPassthrough, countersign.ClientAuthOptional, countersign.ClientAuthVerify,
	} {
		grant, denial := authorize.Decide(authorize.Question{Policy: policy(mode)})
		if denial == nil || denial.Code != countersign.CredentialNotProven {
			t.Errorf("%s: denial %v, want %s", mode, denial, countersign.CredentialNotProven)
		}
		if grant.Given() {
			t.Errorf("%s: a refusal came with a grant", mode)
		}
	}
}

func TestAnonymousClients(t *testing.T) {
	for _, tc := range []struct {
		mode countersign.ClientAuthMode
		want countersign.Code
	}{
		{countersign.ClientAuthOff, ""},
		{countersign.ClientAuthPassthrough, ""},
		{countersign.ClientAuthOptional, ""},
		{countersign.ClientAuthVerify, countersign.ClientCertMissing},
		{"verfiy", countersign.ClientCertMissing}, // a mode nobody knows demands a certificate
	} {
		grant, denial := authorize.Decide(authorize.Question{Policy: policy(tc.mode), Client: identify.Anonymous()})
		switch {
		case tc.want == "" && (denial != nil || !grant.Given()):
			t.Errorf("%s: %v, want a grant", tc.mode, denial)
		case tc.want != "" && (denial == nil || denial.Code != tc.want):
			t.Errorf("%s: %v, want %s", tc.mode, denial, tc.want)
		}
	}
}

// What the handshake found stands, even if everything else would do.
func TestADenialOfTheHandshakeStands(t *testing.T) {
	found := countersign.Deny(countersign.StageVerify, countersign.ClientCertExpired, "expired yesterday")
	grant, denial := authorize.Decide(authorize.Question{
		Policy: policy(countersign.ClientAuthOff), Client: identify.Anonymous(), Denial: found,
	})
	if denial != found || grant.Given() {
		t.Errorf("got %v and a grant: %t, want the handshake's denial", denial, grant.Given())
	}
}

func TestTheZeroGrantGrantsNothing(t *testing.T) {
	if (authorize.Grant{}).Given() {
		t.Error("the zero Grant claims to be given")
	}
}

// Where devices are enforced, a client whose device nobody looked up gets nothing.
func TestAStandingThatNobodyMadeIsRefused(t *testing.T) {
	for _, enrolls := range []bool{false, true} {
		grant, denial := authorize.Decide(authorize.Question{
			Policy: policy(countersign.ClientAuthOptional), Client: identify.Anonymous(),
			Devices: &devices.Rule{Mode: devices.Enforce}, Action: route.Action{Enrolls: enrolls},
		})
		if denial == nil || denial.Code != countersign.CredentialNotProven || grant.Given() {
			t.Errorf("denial %v, want %s", denial, countersign.CredentialNotProven)
		}
	}
}

// What is public is for everybody whom the policy lets in, and for nobody else.
func TestWhatIsPublicIsForEverybodyWhomThePolicyLetsIn(t *testing.T) {
	q := authorize.Question{
		Policy: policy(countersign.ClientAuthOptional), Client: identify.Anonymous(),
		Devices: &devices.Rule{Mode: devices.Enforce}, Action: route.Action{Public: true},
	}
	if grant, denial := authorize.Decide(q); denial != nil || !grant.Given() {
		t.Errorf("anonymous, where that is let in: %v", denial)
	}
	q.Policy = policy(countersign.ClientAuthVerify)
	if _, denial := authorize.Decide(q); denial == nil || denial.Code != countersign.ClientCertMissing {
		t.Errorf("anonymous, where that is not let in: %v", denial)
	}
	q.Policy, q.Denial = policy(countersign.ClientAuthOptional), countersign.Deny(countersign.StageVerify, countersign.ClientCertExpired, "expired yesterday")
	if _, denial := authorize.Decide(q); denial != q.Denial {
		t.Errorf("with a certificate that has expired: %v", denial)
	}
}

// A rule that refuses refuses everybody, whatever else would do.
func TestARuleThatRefusesGrantsNothing(t *testing.T) {
	why := countersign.Deny(countersign.StageRoute, countersign.RefusedByRule, "not for this name")
	for _, mode := range []countersign.ClientAuthMode{countersign.ClientAuthOff, countersign.ClientAuthPassthrough, countersign.ClientAuthOptional} {
		for _, public := range []bool{false, true} {
			grant, denial := authorize.Decide(authorize.Question{
				Policy: policy(mode), Client: identify.Anonymous(), Action: route.Action{Refuse: why, Public: public},
			})
			if denial != why || grant.Given() {
				t.Errorf("%s, public %v: %v, want %v", mode, public, denial, why)
			}
		}
	}
}
