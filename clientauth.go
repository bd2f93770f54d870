package countersign

import "fmt"

// A ClientAuthMode says what a listener does about client certificates.
// AWS's modes are off, passthrough and verify; optional is ours.
type ClientAuthMode string

const (
	ClientAuthOff         ClientAuthMode = "off"         // none is asked for
	ClientAuthPassthrough ClientAuthMode = "passthrough" // asked for, forwarded unverified
	ClientAuthOptional    ClientAuthMode = "optional"    // none is fine, one that is presented must verify
	ClientAuthVerify      ClientAuthMode = "verify"      // required, and must verify
	ClientAuthProxied     ClientAuthMode = "proxied"     // a balancer in front, where TLS ends, vouches for it
)

// ParseClientAuthMode returns the mode that s names.
func ParseClientAuthMode(s string) (ClientAuthMode, error) {
	switch m := ClientAuthMode(s); m {
	case ClientAuthOff, ClientAuthPassthrough, ClientAuthOptional, ClientAuthVerify, ClientAuthProxied:
		return m, nil
	}
	return "", fmt.Errorf("client_auth mode %q: want off, passthrough, optional, verify or proxied", s)
}

// OnFailure says how a client whose certificate was refused learns of it.
type OnFailure string

const (
	OnFailureClose   OnFailure = "close"   // a TLS alert ends the handshake
	OnFailureRespond OnFailure = "respond" // the handshake completes, every request is answered 403
)

// Close says how the connection of a client ends that is no longer accepted.
type Close string

const (
	CloseFinish Close = "finish" // what is under way has a second to finish
	CloseNow    Close = "now"    // a TCP reset, whatever is under way
)
