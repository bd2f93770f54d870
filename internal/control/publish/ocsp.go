package publish

import (
	"countersign.dev/internal/config"
	"countersign.dev/internal/control/ocsp"
	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify/revocation"
)

// asking says what a trust store makes of OCSP. The line by which its clients'
// responders are asked is noted for the policies that refer to the store.
func (c *compiler) asking(ts *config.TrustStore) revocation.Asking {
	r := ts.Revocation
	if !r.OCSP.Asks() {
		return revocation.Asking{}
	}
	asker := c.options.OCSP
	if asker == nil {
		asker = ocsp.New(ocsp.Config{Answers: 1}) // a look at the configuration: nobody is asked
		defer asker.Close()
	}
	line := asker.Line(ocsp.Settings{
		TrustStore: ts.Name, Responder: r.OCSP.Responder, Hosts: r.Hosts, Nonce: r.OCSP.Nonce, Timeout: r.OCSP.Timeout,
		Chain: r.Scope == string(revocation.ScopeChain),
	})
	if c.draft.lines == nil {
		c.draft.lines = map[string]*ocsp.Line{}
	}
	c.draft.lines[ts.Name] = line
	return revocation.Asking{Mode: revocation.Mode(r.OCSP.Mode), Answers: line.View()}
}

// inquirers find out what decides about clients of a trust store.
func (d *Draft) inquirers(store string) (all []handshake.Inquirer) {
	if line := d.lines[store]; line != nil {
		all = append(all, line)
	}
	if finder := d.finders[store]; finder != nil {
		all = append(all, finder)
	}
	return all
}

// asked are the lines of a configuration that comes into force.
func (d *Draft) asked() (all []*ocsp.Line) {
	for _, line := range d.lines {
		all = append(all, line)
	}
	return all
}

// responderStates tells the metrics of OCSP.
func (p *Publisher) responderStates() telemetry.OCSP {
	var o telemetry.OCSP
	o.Answers, o.Hits, o.Misses = p.asker.Known()
	for _, s := range p.asker.States() {
		o.Responders = append(o.Responders, telemetry.Responder{Name: s.Responder, Outcomes: s.Outcomes, Answered: s.Answered})
	}
	return o
}
