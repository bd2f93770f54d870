package devices

import (
	"net/netip"
	"time"

	"countersign.dev"
	"countersign.dev/internal/traffic/identify"
)

// A Membership is a connection's: which device its client is. Its methods must
// not be called at the same time.
type Membership struct {
	register Register
	rule     *Rule
	who      *countersign.Identity
	record   *Record // nil: standing does not change
	seen     *Knowledge
	standing Standing
	seated   bool // standing is of seen
	tolerant bool // the client was not served when it came: see LostSince
	told     int64
}

// Enter makes the client that of a device, or none, under a rule. It is called
// again whenever one of them may be another one.
func (m *Membership) Enter(register Register, rule *Rule, client identify.Client) {
	had := m.record
	id := ""
	m.rule, m.who, m.record, m.seen, m.standing, m.seated = rule, client.Identity(), nil, nil, Standing{}, false
	if rule != nil {
		id, m.standing = rule.device(client)
	}
	m.tolerant = m.tolerant && rule.Enforces()
	switch {
	case id == "":
	case had != nil && had.ID() == id:
		m.record, had = had, nil
	case register == nil:
		m.standing = (*Knowledge)(nil).standing(id, m.who)
	default:
		m.register, m.record = register, register.Hold(id)
	}
	if had != nil {
		m.register.Release(had)
	}
}

// device is the id of the client's device, or "" and the client's standing.
func (r *Rule) device(client identify.Client) (string, Standing) {
	if !client.Verified() && client.Lapse() == nil {
		return "", nameless(client)
	}
	id, err := r.IDs.Of(client.Identity())
	switch {
	case err != nil:
		return "", unnamed(err)
	case id == r.Bootstrap:
		return "", bootstrapping(id)
	}
	return id, Standing{}
}

// Leave ends it. Nothing is held afterwards.
func (m *Membership) Leave() {
	if m.record != nil {
		m.register.Release(m.record)
	}
	m.record = nil
}

// Device is the id of the client's device, "" for none.
func (m *Membership) Device() string {
	if m.record == nil {
		return ""
	}
	return m.record.ID()
}

// Rule is that of the last Enter.
func (m *Membership) Rule() *Rule { return m.rule }

// Pending is the record of which nothing is known yet; nil if there is none such.
func (m *Membership) Pending() *Record {
	if m.record == nil || m.record.Known() != nil {
		return nil
	}
	return m.record
}

// Standing is what the device may have at this moment, and whether that is
// something else than the last time. It allocates nothing if it is not.
func (m *Membership) Standing() (s Standing, fresh bool) {
	if m.record == nil {
		fresh, m.seated = !m.seated, true
		return m.standing, fresh
	}
	known := m.record.Known()
	if m.seated && known == m.seen {
		return m.standing, false
	}
	m.seen, m.seated = known, true
	m.standing = known.standing(m.record.ID(), m.who)
	if m.standing.denial == nil {
		m.tolerant = false
	}
	return m.standing, true
}

// Sample is how often a device that sends requests counts as seen.
const Sample = 5 * time.Minute

// Saw notes a request of the client.
func (m *Membership) Saw(at time.Time, from netip.Addr) {
	if now := at.UnixNano(); m.record != nil && now-m.told >= int64(Sample) {
		m.told = now
		m.register.Seen(m.record, at, from)
	}
}

// Came is called when the client is let in. One that is not served then may stay,
// and is told so at each request; one that is loses its connection with its
// standing.
func (m *Membership) Came() {
	if m.rule.Enforces() {
		s, _ := m.Standing()
		m.tolerant = s.denial != nil
	}
}

// LostSince says why a client that was served is not served any more; nil if it
// is, or never was.
func (m *Membership) LostSince() *countersign.Denial {
	if !m.rule.Enforces() || m.record == nil || m.Pending() != nil {
		return nil
	}
	s, _ := m.Standing()
	if m.tolerant {
		return nil
	}
	return s.denial
}
