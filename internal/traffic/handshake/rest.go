package handshake

import (
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/verify"
)

// Rest gives up the memory of the client's parsed certificates, 5 KiB of the
// 15 that a connection would take. What they prove stays proven; Again parses
// them anew, which is needed when the configuration changes or a certificate
// ends.
//
// crypto/tls holds them too, in the very slice that it gave away, and asks us not
// to change that. It reads the slice until the handshake is over, and then only
// to give it away again, which nobody here asks for. Should it come to copy the
// slice, memory is all that is lost.
func (o *Outcome) Rest() {
	if o.Chain.IsZero() {
		return // nothing else holds them
	}
	o.Chain.Rest()
	clear(o.Presented)
	o.Presented = nil
}

// Again asks p about the client, at a later moment than the handshake.
func (o *Outcome) Again(p *Policy, now time.Time) *countersign.Denial {
	before := o.Chain
	before.Wake() // once for all that is asked here
	var denial *countersign.Denial
	if p.verifies() && p.Store != nil && len(before.Path()) > 0 {
		o.Chain, denial = p.Store.Again(before, p.options(now, nil))
	} else {
		if o.Presented == nil {
			o.Presented = before.Presented()
		}
		o.Chain, denial = p.Admit(o.Presented, now, nil)
	}
	if denial == nil && before.Verified() && o.Chain.Lapse() != nil {
		// What is under way ends with the certificate. A new connection may renew it.
		o.Chain, denial = verify.Chain{}, o.Chain.Lapse()
	}
	if denial != nil && o.Presented == nil {
		o.Presented = before.Presented() // nothing else holds it now
	}
	return denial
}
