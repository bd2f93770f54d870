package consequence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/client"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/control/trust/seen"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/background"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/wire/dn"
)

// A Node has the connections: a traffic.Node.
type Node interface {
	Current() *snapshot.Snapshot
	Present(ctx context.Context, wanted func(*traffic.Presence) bool, visit func(*traffic.Presence) error) error
}

// A Question is what to ask, and whom.
type Question struct {
	Candidate client.Candidate
	Now, Then *publish.Draft // without the candidate, and with it
	Node      Node
	Memory    *seen.Memory // of clients that were seen; nil: there is none
	At        time.Time
	Limit     int // how many clients are named, of each sort
}

// Ask answers a Question. It takes a second for some five thousand clients, since
// traffic goes first.
func Ask(ctx context.Context, question Question) (*client.Diff, error) {
	c, now, then := &question.Candidate, question.Now, question.Then
	q := &inquest{
		Question: question, ctx: ctx, now: question.Node.Current().Listeners, then: then.Listeners,
		concerned: concerned(now, then, c.TrustStore), asked: map[seat]bool{}, holders: map[holder][]sighting{},
		ends: map[[32]byte]*use{}, diff: &client.Diff{Candidate: *c, Codes: map[string]int{}},
	}
	if err := q.everybody(); err != nil {
		return nil, err
	}
	q.conclude()
	q.diff.Anchors = q.anchors(anchorsOf(now, c.TrustStore), anchorsOf(then, c.TrustStore))
	q.diff.Lists = []client.DiffList{}
	if c.Kind == "list" {
		q.diff.Lists = lists(now.Lists[c.TrustStore], then.Lists[c.TrustStore])
	}
	q.notes()
	return q.diff, nil
}

// concerned are the trust stores that the candidate changes: a file may be in
// several. That of the candidate is one in any case.
func concerned(now, then *publish.Draft, store string) map[string]bool {
	names := map[string]bool{store: true}
	for _, a := range now.Stores {
		for _, b := range then.Stores {
			if a.Name() == b.Name() && a.Generation() != b.Generation() {
				names[a.Name()] = true
			}
		}
	}
	return names
}

func anchorsOf(d *publish.Draft, store string) []*x509.Certificate {
	for _, s := range d.Stores {
		if s.Name() == store {
			return s.Anchors()
		}
	}
	return nil
}

// An inquest asks every client, under what is in force and under what may come.
type inquest struct {
	Question
	ctx       context.Context
	now, then []*snapshot.Listener
	concerned map[string]bool // trust stores, by name
	asked     map[seat]bool
	holders   map[holder][]sighting
	ends      map[[32]byte]*use // of paths, by the anchor's SHA-256
	refused   []answer
	admitted  []answer
	diff      *client.Diff
}

// A seat is a certificate under one policy.
type seat struct {
	fingerprint      [32]byte
	listener, policy string
}

// A use is what is known of an anchor.
type use struct {
	was, is, wasConnected, isConnected int
	last                               time.Time
}

// An answer is what a client would be told.
type answer struct {
	fingerprint [32]byte
	leaf        *x509.Certificate
	listener    string
	connected   bool
	first       time.Time
	last        time.Time
	denial      *countersign.Denial
}

func (q *inquest) everybody() error {
	var work background.Work
	breathe := func() error {
		work.Pause()
		return q.ctx.Err()
	}
	err := q.Node.Present(q.ctx, func(p *traffic.Presence) bool {
		s := seat{p.Fingerprint, p.Listener, p.Policy}
		if q.asked[s] || !q.isConcerned(p.Under(q.then)) {
			return false
		}
		q.asked[s] = true
		return true
	}, func(p *traffic.Presence) error {
		var anchor []byte
		if p.Anchor != nil {
			anchor = p.Anchor.Raw
		}
		q.ask(answer{fingerprint: p.Fingerprint, leaf: p.Presented[0], listener: p.Listener, connected: true, first: p.Since, last: q.At}, p.Presented, anchor,
			p.Under(q.now), p.Under(q.then))
		return breathe()
	})
	if err != nil || q.Memory == nil {
		return err
	}
	err = q.Memory.Each(func(c seen.Client) error {
		policy := byName(q.then, c.Listener, c.Policy)
		s := seat{c.Fingerprint(), c.Listener, c.Policy}
		switch {
		case !q.isConcerned(policy):
			return nil
		case q.asked[s]:
			q.sawFirst(s.fingerprint, c.Presented[0], c.First)
			return nil
		}
		q.asked[s] = true
		q.ask(answer{fingerprint: s.fingerprint, leaf: c.Presented[0], listener: c.Listener, first: c.First, last: c.Last}, c.Presented, c.Anchor,
			byName(q.now, c.Listener, c.Policy), policy)
		return breathe()
	})
	if err != nil {
		return err
	}
	return q.strangers(breathe)
}

// strangers asks those who were refused last whether they would be accepted. They
// count for nothing else: anybody can be refused.
func (q *inquest) strangers(breathe func() error) error {
	for _, c := range q.Memory.Strangers() {
		now, then := byName(q.now, c.Listener, c.Policy), byName(q.then, c.Listener, c.Policy)
		s := seat{c.Fingerprint(), c.Listener, c.Policy}
		if now == nil || !q.isConcerned(then) || q.asked[s] {
			continue
		}
		_, today := now.Admit(c.Presented, q.At, nil)
		if today == nil {
			continue // accepted since
		}
		if _, denial := then.Admit(c.Presented, q.At, nil); denial == nil {
			q.admitted = append(q.admitted, answer{fingerprint: s.fingerprint, leaf: c.Presented[0], listener: c.Listener,
				first: c.First, last: c.Last, denial: today})
		}
		if err := breathe(); err != nil {
			return err
		}
	}
	return nil
}

func (q *inquest) isConcerned(p *handshake.Policy) bool {
	return p != nil && p.Store != nil && q.concerned[p.Store.Name()]
}

// byName finds the policy under which a client was admitted, by its name.
func byName(listeners []*snapshot.Listener, listener, policy string) *handshake.Policy {
	for _, l := range listeners {
		if l.Name != listener || l.TLS == nil {
			continue
		}
		for _, p := range l.Policies.All() {
			if p.Name == policy {
				return p
			}
		}
	}
	return nil
}

// ask asks as a handshake would, and then as a connection is asked when the
// configuration has changed: signatures that were checked once are not checked
// again. Whoever is connected is accepted today. now is nil if the policy is gone.
func (q *inquest) ask(a answer, presented []*x509.Certificate, anchor []byte, now, then *handshake.Policy) {
	q.diff.Asked++
	var known handshake.Outcome
	today := countersign.Deny(countersign.StageVerify, countersign.ListenerGone, "the policy under which it was seen is not in force any more")
	if now != nil {
		known.Chain, today = now.Admit(presented, q.At, nil)
	}
	if a.connected {
		q.diff.Connected++
		today = nil
	}
	var denial *countersign.Denial
	if known.Chain.Verified() {
		denial = known.Again(then, q.At)
	} else {
		known.Chain, denial = then.Admit(presented, q.At, nil)
	}
	chain := known.Chain
	if then.Store.Name() == q.Candidate.TrustStore {
		q.count(a, anchor, today == nil, chain)
	}
	if h := holderOf(a.leaf); h != (holder{}) {
		q.holders[h] = append(q.holders[h], sighting{a.fingerprint, a.first, a.last, denial == nil})
	}
	switch {
	case denial == nil:
		q.diff.Accepted++
		if a.denial = today; today != nil {
			q.admitted = append(q.admitted, a)
		}
	case today == nil:
		a.denial = denial
		q.refused = append(q.refused, a)
	default:
		q.diff.Already++
	}
}

// count counts where paths end.
func (q *inquest) count(a answer, anchor []byte, today bool, chain verify.Chain) {
	if len(anchor) > 0 {
		u := q.use(sha256.Sum256(anchor))
		if a.last.After(u.last) {
			u.last = a.last
		}
		if today {
			u.was++
			if a.connected {
				u.wasConnected++
			}
		}
	}
	if path := chain.Path(); len(path) > 0 {
		u := q.use(sha256.Sum256(path[len(path)-1].Raw))
		u.is++
		if a.connected {
			u.isConnected++
		}
	}
}

func (q *inquest) use(anchor [32]byte) *use {
	u := q.ends[anchor]
	if u == nil {
		u = &use{}
		q.ends[anchor] = u
	}
	return u
}

// conclude sorts those whose standing would change, and counts them.
func (q *inquest) conclude() {
	order := func(answers []answer) {
		slices.SortFunc(answers, func(x, y answer) int {
			switch {
			case x.connected != y.connected && x.connected:
				return -1
			case x.connected != y.connected:
				return 1
			case !x.last.Equal(y.last):
				return y.last.Compare(x.last)
			}
			return bytes.Compare(x.fingerprint[:], y.fingerprint[:])
		})
	}
	order(q.refused)
	order(q.admitted)
	d := q.diff
	d.RefusedClients, d.AdmittedClients, d.ReplacedClients = []client.DiffClient{}, []client.DiffClient{}, []client.DiffClient{}
	name := func(list *[]client.DiffClient, a *answer) {
		if len(*list) < q.Limit {
			*list = append(*list, a.named())
		}
	}
	for i := range q.refused {
		a := &q.refused[i]
		if q.replaced(a) {
			d.Replaced++
			name(&d.ReplacedClients, a)
			continue
		}
		d.Refused++
		if a.connected {
			d.Cut++
		}
		d.Codes[string(a.denial.Code)]++
		name(&d.RefusedClients, a)
	}
	d.Admitted = len(q.admitted)
	for i := range q.admitted {
		name(&d.AdmittedClients, &q.admitted[i])
	}
}

func (a *answer) named() client.DiffClient {
	return client.DiffClient{
		Subject: plain(a.leaf.RawSubject), Issuer: plain(a.leaf.RawIssuer), Serial: dn.Serial(a.leaf.SerialNumber),
		Fingerprint: "sha256:" + hex.EncodeToString(a.fingerprint[:]), NotAfter: a.leaf.NotAfter.UTC(),
		Listener: a.listener, Connected: a.connected, LastSeen: a.last.UTC().Truncate(time.Second),
		Code: string(a.denial.Code), Reason: a.denial.Reason,
	}
}

// plain is a name without quotes.
func plain(der []byte) string { return strings.Trim(describe.Name(der), `"`) }

// notes says what the numbers do not.
func (q *inquest) notes() {
	q.diff.Notes = []string{}
	note := func(format string, args ...any) { q.diff.Notes = append(q.diff.Notes, fmt.Sprintf(format, args...)) }
	if m := q.Memory; m == nil {
		note("nobody is remembered: only those who are connected were asked")
	} else if n := m.Missed(); n > 0 {
		note("%d times a client was not remembered, because too many came at once or the disk refused: they are remembered when they come again", n)
	}
	var others []string
	for name := range q.concerned {
		if name != q.Candidate.TrustStore {
			others = append(others, name)
		}
	}
	if slices.Sort(others); len(others) > 0 {
		note("%s is read by other trust stores too (%s): their clients are among those asked", q.Candidate.For, strings.Join(others, ", "))
	}
	if admin := q.Now.Config.Node.Admin.TrustStore; q.concerned[admin] && admin != "" {
		note("trust store %q also decides who may use the management API: see that your own certificate is still accepted", admin)
	}
	if q.Candidate.Remote {
		note("what is staged is for a URL, and cannot be committed here: publish it at %s, and every node fetches it", q.Candidate.For)
	}
}
