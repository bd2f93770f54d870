package handshake

import (
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/handshake/ticket"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A clock runs ahead of the real one by as much as a test says.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// A pocket is a client's session cache that offers its last ticket to
// whomever it meets: the attacker's, who does not care for server names.
type pocket struct{ session *tls.ClientSessionState }

func (p *pocket) Get(string) (*tls.ClientSessionState, bool) { return p.session, p.session != nil }
func (p *pocket) Put(_ string, s *tls.ClientSessionState)    { p.session = s }
func (p *pocket) on(c *tls.Config, version uint16) *tls.Config {
	c.ClientSessionCache = p
	return at(c, version)
}

// eachVersion runs f for TLS 1.2 and 1.3, each with an empty pocket.
func eachVersion(t *testing.T, f func(t *testing.T, p *pocket, version uint16)) {
	for _, v := range versions {
		t.Run(tls.VersionName(v), func(t *testing.T) { f(t, &pocket{}, v) })
	}
}

// meets makes a connection and holds it against whether it was resumed and
// how it was decided.
func (r *rig) meets(config *tls.Config, resumed bool, want countersign.Code) Outcome {
	r.t.Helper()
	_, err, out := r.connect(config)
	if out.State.DidResume != resumed {
		r.t.Fatalf("resumed %v, want %v (client %v, denial %v)", out.State.DidResume, resumed, err, out.Denial)
	}
	if code(out.Denial) != want {
		r.t.Fatalf("denial %v, want %q", out.Denial, want)
	}
	if (err != nil) != out.Refused {
		r.t.Fatalf("the client got %v, refused %v", err, out.Refused)
	}
	if (want != "" || out.Policy.Mode == countersign.ClientAuthOff) && !out.Chain.IsZero() {
		r.t.Fatalf("a chain beside denial %v in mode %s", out.Denial, out.Policy.Mode)
	}
	return out
}

func TestASessionIsResumedWithItsProof(t *testing.T) {
	w := newWorld(t)
	fleet := store(t, "fleet", verify.Config{}, w.root)
	device := w.root.Intermediate("Issuing").Client("device")
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		for _, policy := range []*Policy{
			{Name: "off", Mode: "off", Resumption: true},
			{Name: "passthrough", Mode: "passthrough", Resumption: true},
			{Name: "optional", Mode: "optional", Resumption: true, Store: fleet},
			{Name: "verify", Mode: "verify", Resumption: true, Store: fleet},
			{Name: "respond", Mode: "verify", Resumption: true, Store: fleet, OnFailure: "respond"},
		} {
			r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: NewTicketKeys(TicketKeysConfig{})}))
			p.session = nil
			r.meets(p.on(w.client("api.example.com", device), v), false, "")
			// Another name of the same policy may coalesce.
			out := r.meets(p.on(w.client("other.example.com", device), v), true, "")
			if policy.Mode == "off" {
				continue
			}
			if leaf := out.Chain.Leaf(); leaf == nil || !leaf.Equal(device.X509) || out.Chain.Verified() != (policy.Store != nil) {
				t.Errorf("%s: the resumed session has leaf %v, verified %v", policy.Name, leaf, out.Chain.Verified())
			}
			if len(out.Presented) != 2 {
				t.Errorf("%s: %d certificates after resumption, want 2", policy.Name, len(out.Presented))
			}
		}
	})
}

// T1, T7: one listener, several policies.
func TestATicketIsNoGoodUnderAnotherPolicy(t *testing.T) {
	w := newWorld(t)
	fleet, ops := store(t, "fleet", verify.Config{}, w.root), store(t, "ops", verify.Config{}, w.other)
	device := w.root.Client("device")
	open := &Policy{Name: "open", Mode: "off", Resumption: true}
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Keys: NewTicketKeys(TicketKeysConfig{}), Policies: policies(t, open,
		Named{Names: []string{"fleet.example.com"}, Policy: &Policy{Name: "fleet", Mode: "verify", Store: fleet, Resumption: true}},
		Named{Names: []string{"ops.example.com"}, Policy: &Policy{Name: "ops", Mode: "verify", Store: ops, Resumption: true}},
		Named{Names: []string{"pass.example.com"}, Policy: &Policy{Name: "pass", Mode: "passthrough", Resumption: true}},
	)})
	r := newRig(t, s)
	want := map[string]countersign.Code{"fleet.example.com": "", "ops.example.com": countersign.ClientCertUntrusted, "pass.example.com": "", "example.com": ""}
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		for _, from := range []string{"fleet.example.com", "pass.example.com", "example.com"} {
			for to, denied := range want {
				if from == to {
					continue
				}
				p.session = nil
				r.meets(p.on(w.client(from, device), v), false, "")
				if p.session == nil {
					t.Fatalf("%s gave no ticket", from)
				}
				r.meets(p.on(w.client(to, device), v), false, denied)
			}
		}
		// Nobody's ticket makes up for a missing certificate.
		p.session = nil
		r.meets(p.on(w.client("example.com", device), v), false, "")
		r.meets(p.on(w.client("fleet.example.com", nil), v), false, countersign.ClientCertMissing)
	})
}

// T2.
func TestATicketIsNoGoodOnAnotherListener(t *testing.T) {
	w := newWorld(t)
	device, keys := w.root.Client("device"), NewTicketKeys(TicketKeysConfig{})
	policy := &Policy{Name: "p", Mode: "verify", Store: store(t, "fleet", verify.Config{}, w.root), Resumption: true}
	config := Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: keys}
	a := newRig(t, newServer(t, config))
	config.Listener = "other"
	b := newRig(t, newServer(t, config))
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		a.meets(p.on(w.client("example.com", device), v), false, "")
		b.meets(p.on(w.client("example.com", device), v), false, "")
		b.meets(p.on(w.client("example.com", device), v), true, "")
		a.meets(p.on(w.client("example.com", device), v), false, "")
	})
}

// T3, T6, and every other change of what a policy demands: a new server, as
// after a reload, with the same keys.
func TestATicketEndsWithWhatItWasGivenUnder(t *testing.T) {
	w := newWorld(t)
	device, keys := w.root.Client("device"), NewTicketKeys(TicketKeysConfig{})
	lists, err := crl.Parse("revoked.crl", w.root.CRL(testpki.Revoke(device)))
	if err != nil {
		t.Fatal(err)
	}
	fleet := store(t, "fleet", verify.Config{}, w.root)
	server := func(p Policy) *Server {
		p.Name = "p"
		return newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, &p), Keys: keys})
	}
	before := Policy{Mode: "verify", Store: fleet, Resumption: true}
	for _, c := range []struct {
		name    string
		after   Policy
		resumes bool
		code    countersign.Code
	}{
		{"the same again", Policy{Mode: "verify", Store: store(t, "fleet", verify.Config{}, w.root), Resumption: true}, true, ""},
		{"revoked", Policy{Mode: "verify", Store: store(t, "fleet", verify.Config{Revocation: revocation.Config{Lists: lists}}, w.root), Resumption: true}, false, countersign.ClientCertCrlHit},
		{"another CA", Policy{Mode: "verify", Store: store(t, "fleet", verify.Config{}, w.other), Resumption: true}, false, countersign.ClientCertUntrusted},
		{"one more CA", Policy{Mode: "verify", Store: store(t, "fleet", verify.Config{}, w.root, w.other), Resumption: true}, false, ""},
		{"passthrough", Policy{Mode: "passthrough", Resumption: true}, false, ""},
		{"optional", Policy{Mode: "optional", Store: fleet, Resumption: true}, false, ""},
		{"respond", Policy{Mode: "verify", Store: fleet, OnFailure: "respond", Resumption: true}, false, ""},
		{"depth", Policy{Mode: "verify", Store: fleet, MaxChainDepth: 3, Resumption: true}, false, ""},
		{"off", Policy{Mode: "off", Resumption: true}, false, ""},
		{"no resumption", Policy{Mode: "verify", Store: fleet}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
				r := newRig(t, server(before))
				r.meets(p.on(w.client("example.com", device), v), false, "")
				r.server.Store(server(c.after))
				r.meets(p.on(w.client("example.com", device), v), c.resumes, c.code)
			})
		})
	}
}

// T4: time passes, nothing else changes.
func TestAResumedSessionIsVerifiedAgain(t *testing.T) {
	w := newWorld(t)
	soon := time.Now().Add(time.Hour)
	past := time.Now().Add(-time.Hour)
	shortLeaf := w.root.Client("device", testpki.Valid(past, soon))
	shortIssuer := w.root.Intermediate("Issuing", testpki.Valid(past, soon)).Client("device")
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		for _, onFailure := range []countersign.OnFailure{"close", "respond"} {
			for _, c := range []struct {
				device  *testpki.Certificate
				resumes bool // the ticket ends with the leaf, not with its issuers
			}{{shortLeaf, false}, {shortIssuer, true}} {
				now := &clock{}
				policy := &Policy{Name: "p", Mode: "verify", Resumption: true, OnFailure: onFailure,
					Store: store(t, "fleet", verify.Config{Now: now.Now}, w.root)}
				r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy),
					Keys: NewTicketKeys(TicketKeysConfig{Now: now.Now}), Now: now.Now}))
				p.session = nil
				client := func() *tls.Config { return p.on(w.client("example.com", c.device), v) }
				r.meets(client(), false, "")
				r.meets(client(), true, "")
				now.Advance(2 * time.Hour)
				r.meets(client(), c.resumes, countersign.ClientCertExpired)
				// A refused client is left without a ticket that opens.
				r.meets(client(), false, countersign.ClientCertExpired)
			}
		}
	})
}

// T5.
func TestAChainOfResumptionsEndsWithItsFirstHandshake(t *testing.T) {
	w := newWorld(t)
	device := w.root.Client("device")
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		now := &clock{}
		policy := &Policy{Name: "p", Mode: "verify", Resumption: true, Store: store(t, "fleet", verify.Config{Now: now.Now}, w.root)}
		r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy),
			Keys: NewTicketKeys(TicketKeysConfig{Now: now.Now}), Now: now.Now}))
		client := func() *tls.Config { return p.on(w.client("example.com", device), v) }
		first := r.meets(client(), false, "").First.Truncate(time.Second)
		for range 4 {
			now.Advance(5*time.Hour + 50*time.Minute)
			if got := r.meets(client(), true, "").First; !got.Equal(first) {
				t.Fatalf("the resumed session began %v, want %v", got, first)
			}
		}
		now.Advance(time.Hour) // 24 h 20 min
		if again := r.meets(client(), false, "").First; !again.After(first.Add(24 * time.Hour)) {
			t.Errorf("the full handshake began a session at %v", again)
		}
		r.meets(client(), true, "")
	})
}

func TestNoTicketWhereNobodyMayUseIt(t *testing.T) {
	w := newWorld(t)
	fleet := store(t, "fleet", verify.Config{}, w.root)
	device, stranger := w.root.Client("device"), w.other.Client("stranger")
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		for _, c := range []struct {
			name    string
			policy  Policy
			keys    *TicketKeys
			client  *testpki.Certificate
			code    countersign.Code
			tickets bool
		}{
			{"resumption: false", Policy{Mode: "verify", Store: fleet}, NewTicketKeys(TicketKeysConfig{}), device, "", false},
			{"no keys", Policy{Mode: "verify", Store: fleet, Resumption: true}, nil, device, "", false},
			// crypto/tls cannot leave the ticket out: it is a dead one.
			{"a refused client", Policy{Mode: "verify", Store: fleet, Resumption: true, OnFailure: "respond"}, NewTicketKeys(TicketKeysConfig{}), stranger, countersign.ClientCertUntrusted, true},
			{"without certificate", Policy{Mode: "verify", Store: fleet, Resumption: true, OnFailure: "respond"}, NewTicketKeys(TicketKeysConfig{}), nil, countersign.ClientCertMissing, true},
		} {
			c.policy.Name = "p"
			r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, &c.policy), Keys: c.keys}))
			p.session = nil
			for range 2 {
				r.meets(p.on(w.client("example.com", c.client), v), false, c.code)
				if p.session == nil {
					continue
				}
				label, _, err := p.session.ResumptionState()
				if err != nil || !c.tickets || len(label) > len(ticket.Dead()) {
					t.Errorf("%s: a ticket of %d bytes, %v", c.name, len(label), err)
				}
			}
		}
	})
}

// A ticket of crypto/tls's own keys must not open either: a server with other
// ways and the same certificate, say an older process on the same address.
func TestForeignTicketsMakeAFullHandshake(t *testing.T) {
	w := newWorld(t)
	policy := &Policy{Name: "p", Mode: "verify", Resumption: true, Store: store(t, "fleet", verify.Config{}, w.root)}
	config := Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: NewTicketKeys(TicketKeysConfig{})}
	r := newRig(t, newServer(t, config))
	device := w.root.Client("device")
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		config.Keys = NewTicketKeys(TicketKeysConfig{})
		other := newRig(t, newServer(t, config))
		other.meets(p.on(w.client("example.com", device), v), false, "")
		r.meets(p.on(w.client("example.com", device), v), false, "")
		r.meets(p.on(w.client("example.com", device), v), true, "")
	})
}

// T9: nodes that share their keys resume each other's sessions, under the rules
// of each, and with the identity that the first handshake proved.
func TestNodesThatShareKeysResumeEachOthersSessions(t *testing.T) {
	w := newWorld(t)
	device := w.root.Intermediate("Issuing").Client("device")
	lists, err := crl.Parse("revoked.crl", w.root.CRL(testpki.Revoke(device)))
	if err != nil {
		t.Fatal(err)
	}
	key := TicketKey{Secret: [32]byte{1, 2, 3}, Created: time.Now()}
	share := func(own *TicketKeys, keys ...TicketKey) {
		shared, err := ShareTicketKeys(keys...)
		if err != nil {
			t.Fatal(err)
		}
		own.Share(shared)
	}
	node := func(c verify.Config, keys ...TicketKey) (*rig, *TicketKeys) {
		own := NewTicketKeys(TicketKeysConfig{})
		if len(keys) > 0 {
			share(own, keys...)
		}
		policy := &Policy{Name: "p", Mode: "verify", Store: store(t, "fleet", c, w.root), Resumption: true}
		return newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, policy), Keys: own})), own
	}
	one, _ := node(verify.Config{}, key)
	two, keysOfTwo := node(verify.Config{}, key)
	newer := TicketKey{Secret: [32]byte{4, 5, 6}, Created: key.Created.Add(time.Nanosecond)}
	rotate := func(keys ...TicketKey) { share(keysOfTwo, keys...) }
	other, _ := node(verify.Config{})
	behind, _ := node(verify.Config{Revocation: revocation.Config{Lists: lists}}, key) // its trust store is another generation
	eachVersion(t, func(t *testing.T, p *pocket, v uint16) {
		client := func() *tls.Config { return p.on(w.client("example.com", device), v) }
		first := one.meets(client(), false, "")
		again := two.meets(client(), true, "")
		if leaf := again.Chain.Leaf(); leaf == nil || !leaf.Equal(device.X509) || !again.Chain.Verified() || !again.First.Equal(first.First.Truncate(time.Second)) {
			t.Errorf("at the other node the session is of %v, verified %t, and began %v, want %v", leaf, again.Chain.Verified(), again.First, first.First)
		}
		one.meets(client(), true, "")     // and back
		behind.meets(client(), false, "") // by a full handshake, in which the leaf's list is missing
		p.session = nil
		one.meets(client(), false, "")
		other.meets(client(), false, "") // who has not the key
		p.session = nil
		one.meets(client(), false, "")
		rotate(newer, key)
		two.meets(client(), true, "") // of the key from before, in exchange for one of the newer
		one.meets(client(), false, "")
		rotate(key)
	})
}
