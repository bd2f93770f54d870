package handshake

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/handshake/ticket"
	"countersign.dev/internal/traffic/verify"
)

// A Policy says what is demanded of clients that ask for one of its server
// names. It must not change once a Policies holds it. Two names share a policy
// when they lead to the same *Policy.
type Policy struct {
	Name  string                     // unique in a listener
	Mode  countersign.ClientAuthMode // no default: a policy without a mode is refused
	Store *verify.Store              // needed for optional and verify
	// Inquirers find out what decides about a client and is not known beforehand.
	Inquirers []Inquirer

	MaxChainDepth    int             // 0: as verify.Options
	IgnoreExpiry     bool            // let expired certificates pass
	Renewal          *verify.Renewal // let those pass that have expired lately, to be renewed; nil: none
	AdvertiseCANames bool            // name the store's authorities in the CertificateRequest

	OnFailure  countersign.OnFailure // "": close
	Close      countersign.Close     // of a client that is no longer accepted; "": finish
	Resumption bool                  // false: every connection makes a full handshake
}

// Admit decides about a client that presented these certificates, leaf first,
// at that moment. The zero Chain without a Denial is a client without a
// certificate where none is needed; in mode off, certificates are not looked
// at. trace, unless nil, is told of each check in turn.
//
// A handshake, the check of a live connection against a new configuration and
// `countersign explain` all ask here.
func (p *Policy) Admit(presented []*x509.Certificate, now time.Time, trace func(verify.Step)) (verify.Chain, *countersign.Denial) {
	if trace != nil {
		trace(p.explain(len(presented)))
	}
	switch p.Mode {
	case countersign.ClientAuthOff:
		return verify.Chain{}, nil
	case countersign.ClientAuthPassthrough:
		if len(presented) == 0 {
			return verify.Chain{}, nil
		}
		return verify.Unverified(presented)
	case countersign.ClientAuthProxied:
		if p.Store != nil {
			break
		}
		if len(presented) == 0 { // its name was told alone
			return verify.Chain{}, nil
		}
		return verify.Unverified(presented)
	}
	if !p.verifies() || p.Store == nil {
		return verify.Chain{}, countersign.Deny(countersign.StageVerify, countersign.ClientCertRejected,
			"policy %s has client_auth mode %q without a trust store: it can admit nobody; this is a fault in countersign, please report it", p.Name, p.Mode)
	}
	if len(presented) == 0 {
		if p.Mode == countersign.ClientAuthOptional {
			return verify.Chain{}, nil
		}
		return verify.Chain{}, countersign.Deny(countersign.StageVerify, countersign.ClientCertMissing,
			"policy %s needs a client certificate, none was presented; give the client one of a CA of trust store %q, with its private key", p.Name, p.Store.Name())
	}
	return p.Store.Verify(presented, p.options(now, trace))
}

func (p *Policy) options(now time.Time, trace func(verify.Step)) verify.Options {
	return verify.Options{MaxChainDepth: p.MaxChainDepth, IgnoreExpiry: p.IgnoreExpiry, Renewal: p.Renewal, Now: now, Trace: trace}
}

// explain says what the mode makes of a client with that many certificates.
func (p *Policy) explain(presented int) verify.Step {
	ok, what := true, ""
	switch {
	case p.Mode == countersign.ClientAuthOff:
		what = fmt.Sprintf("asks for no certificate; %d presented, not looked at", presented)
	case p.Mode == countersign.ClientAuthPassthrough && presented == 0:
		what = "passes certificates through; none was presented, none is needed"
	case p.Mode == countersign.ClientAuthPassthrough:
		what = "passes the certificate through unverified"
	case p.Mode == countersign.ClientAuthProxied && p.Store == nil:
		what = "takes a balancer's word for who the client is; what the client itself presents is not looked at"
	case !p.verifies() || p.Store == nil:
		ok, what = false, "has no trust store to verify a certificate against"
	case presented > 0:
		what = fmt.Sprintf("verifies the certificate against trust store %s", p.Store.Name())
	case p.Mode == countersign.ClientAuthOptional:
		what = "needs no certificate, none was presented"
	default:
		ok, what = false, "needs a certificate, none was presented"
	}
	return verify.Step{Check: "client_auth", OK: ok, Detail: fmt.Sprintf("policy %s (client_auth mode %q) %s", p.Name, p.Mode, what)}
}

func (p *Policy) verifies() bool {
	return p.Mode == countersign.ClientAuthOptional || p.Mode == countersign.ClientAuthVerify || p.Mode == countersign.ClientAuthProxied && p.Store != nil
}

// Proxied reports whether a balancer in front vouches for clients, at whom no
// certificate is asked for here.
func (p *Policy) Proxied() bool { return p.Mode == countersign.ClientAuthProxied }

// ClosesOnFailure reports whether the connection of a client that is refused ends.
func (p *Policy) ClosesOnFailure() bool { return p.closes() }

// validate returns every fault at once: a policy that contradicts itself must
// never come to decide (Traefik CVE-2022-46153, Caddy CVE-2026-27586).
func (p *Policy) validate() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("policy %q: "+format, append([]any{p.Name}, args...)...))
	}
	if p.Name == "" {
		fault("has no name")
	}
	if _, err := countersign.ParseClientAuthMode(string(p.Mode)); err != nil {
		fault("%w", err)
	} else if p.verifies() && p.Store == nil {
		fault("client_auth mode %s needs a trust store", p.Mode)
	} else if !p.verifies() && p.Store != nil {
		fault("client_auth mode %s does not verify, yet trust store %q is given; want mode optional or verify, or no trust store", p.Mode, p.Store.Name())
	}
	if p.Mode == countersign.ClientAuthProxied && p.AdvertiseCANames {
		fault("advertise_ca_names means nothing in client_auth mode proxied: the balancer in front asks for certificates")
	}
	if !p.verifies() && (p.AdvertiseCANames || p.IgnoreExpiry) {
		fault("advertise_ca_names and ignore_expiry mean nothing in client_auth mode %q: want optional or verify, or neither of them", p.Mode)
	}
	if p.MaxChainDepth < 0 {
		fault("max_chain_depth %d: want 1 or more, or 0 for the default", p.MaxChainDepth)
	}
	switch p.OnFailure {
	case "", countersign.OnFailureClose, countersign.OnFailureRespond:
	default:
		fault("on_failure %q: want close or respond", p.OnFailure)
	}
	switch p.Close {
	case "", countersign.CloseFinish, countersign.CloseNow:
	default:
		fault("close %q: want finish or now", p.Close)
	}
	return errors.Join(errs...)
}

// closes reports whether a refused client is refused by a TLS alert.
func (p *Policy) closes() bool { return p.OnFailure != countersign.OnFailureRespond }

// binding is what a session ticket of this policy on that listener is sealed
// to. Everything that makes a client's admission mean something else is in it:
// the handshake that a ticket continues must have been held to the same rules.
func (p *Policy) binding(listener string) ticket.Binding {
	h := sha256.New()
	text := func(s string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	text("countersign session ticket 1")
	text(listener)
	text(p.Name)
	text(string(p.Mode))
	text(fmt.Sprint(p.closes(), p.IgnoreExpiry, p.MaxChainDepth))
	if p.Store != nil {
		generation := p.Store.Generation()
		text(p.Store.Name())
		text(string(generation[:]))
	}
	return ticket.Binding(h.Sum(nil))
}
