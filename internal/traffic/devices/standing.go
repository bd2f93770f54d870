package devices

import (
	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
)

// A Standing is what a client's device may have. Only Membership.Standing makes
// one; the zero value proves nothing and is refused.
type Standing struct {
	made    bool
	enrolls bool
	word    string
	denial  *countersign.Denial
}

// Words for X-Device-State beside the states themselves.
const (
	Unknown     = "unknown"     // no such device was provisioned
	Bootstrap   = "bootstrap"   // the certificate is the one that devices are made with
	Unavailable = "unavailable" // the registry cannot be asked
)

// Word is the state of the device in a word: a countersign.State, or one of the
// above. It is empty for a client that is no device.
func (s Standing) Word() string { return s.word }

// Refusal says why the device is not served; nil if it is. To enroll, those may
// ask too who have no certificate of their own yet.
func (s Standing) Refusal(enroll bool) *countersign.Denial {
	switch {
	case !s.made:
		return countersign.Deny(countersign.StageAuthorize, countersign.CredentialNotProven,
			"the request came to authorization without the standing of its device; this is a fault in countersign, please report it")
	case enroll && s.enrolls:
		return nil
	}
	return s.denial
}

// RenewalRefusal says why the device may not have a certificate renewed that has
// expired; nil if it may: it is active.
func (s Standing) RenewalRefusal() *countersign.Denial {
	if s.made && s.denial == nil {
		return nil
	}
	return s.Refusal(false)
}

// refused is the standing of a client that is not served. Its stage is authorize.
func refused(word string, code countersign.Code, format string, args ...any) Standing {
	return Standing{made: true, word: word, denial: countersign.Deny(countersign.StageAuthorize, code, format, args...)}
}

// orEnrolls is s, but may enroll.
func (s Standing) orEnrolls() Standing {
	s.enrolls = true
	return s
}

// nameless is the standing of a client without a certificate that proves anything.
func nameless(c identify.Client) Standing {
	if c.Anonymous() {
		return refused("", countersign.ClientCertMissing,
			"devices alone are served here, and the client presented no certificate; give it its own, with the private key")
	}
	return refused("", countersign.DeviceUnnamed,
		"devices alone are served here, and the client's certificate was not verified against a trust store; let it connect to a listener that verifies it")
}

func unnamed(why error) Standing {
	return refused("", countersign.DeviceUnnamed,
		"%v; devices.id says where a certificate has the id: issue it with one, or change devices.id", why)
}

func bootstrapping(id string) Standing {
	return refused(Bootstrap, countersign.DeviceBootstrap,
		"the certificate names %s, which all devices are made with (devices.bootstrap): it is good for enrolling alone; let the device use its own", id).orEnrolls()
}

// standing is the device's by what is known of it; k is nil if that is nothing.
func (k *Knowledge) standing(id string, c *countersign.Identity) Standing {
	if k == nil {
		return refused(Unavailable, countersign.DeviceStateUnavailable,
			"nothing is known of device %s on this node, and the registry cannot be asked at the moment; look at node.store and the program log", id)
	}
	switch word := string(k.State); k.State {
	case "":
		return refused(Unknown, countersign.DeviceNotProvisioned,
			"device %s is not in the registry; countersign device add %s provisions it", id, id).orEnrolls()
	case countersign.DeviceProvisioned, countersign.DeviceReady, countersign.DeviceActive:
		if why := k.revoked(c); why != "" {
			return refused(string(countersign.DeviceRevoked), countersign.DeviceCertificateRevoked,
				"certificate %s of device %s is worth nothing any more: %s; let the device fetch a new one", c.Serial, id, why)
		}
		if k.State == countersign.DeviceActive {
			return Standing{made: true, word: word, enrolls: true}
		}
		return refused(word, countersign.DeviceNotActive,
			"device %s is %s, and active ones alone are served; %s", id, word, path(id, k.State)).orEnrolls()
	case countersign.DeviceSuspended:
		return refused(word, countersign.DeviceIsSuspended, "device %s is suspended; countersign device resume %s lets it in again", id, id)
	case countersign.DeviceRetired:
		return refused(word, countersign.DeviceIsRetired, "device %s is retired", id)
	default: // revoked, and whatever is not understood
		return refused(word, countersign.DeviceIsRevoked, "device %s is %s; countersign device ready %s lets it fetch a new certificate", id, word, id)
	}
}

// path is how a device comes from a state to be active.
func path(id string, from countersign.State) string {
	if from == countersign.DeviceProvisioned {
		return "countersign device ready " + id + " lets it fetch its certificate"
	}
	return "it becomes so when it fetches its certificate"
}
