package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/handshake/turns"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// A desk is an Inquirer that answers when the test lets it.
type desk struct {
	mu    sync.Mutex
	asked [][]*x509.Certificate
	lacks bool

	came   chan struct{} // has a value for each question
	answer chan struct{} // closed: answers at once
}

func newDesk() *desk {
	return &desk{lacks: true, came: make(chan struct{}, 16), answer: make(chan struct{})}
}

func (d *desk) Lacks([]*x509.Certificate, time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lacks
}

func (d *desk) Inquire(ctx context.Context, path []*x509.Certificate, _ time.Time) {
	d.mu.Lock()
	d.asked = append(d.asked, path)
	d.mu.Unlock()
	d.came <- struct{}{}
	select {
	case <-d.answer:
	case <-ctx.Done():
	}
}

func (d *desk) questions() [][]*x509.Certificate {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func TestNobodyIsAskedAboutAClientThatIsRefusedAnyway(t *testing.T) {
	root, other := testpki.NewRoot(t, "Fleet Root"), testpki.NewRoot(t, "Other Root")
	lost := root.Client("lost")
	lists, err := crl.Parse("revoked.crl", root.CRL(testpki.Revoke(lost)))
	if err != nil {
		t.Fatal(err)
	}
	s := store(t, "fleet", verify.Config{Accept: []verify.Filter{{SubjectCN: []string{"device", "lost", "late", "web"}}},
		Revocation: revocation.Config{Lists: lists}}, root)
	for name, c := range map[string]struct {
		client *testpki.Certificate
		mode   countersign.ClientAuthMode
		asked  bool
	}{
		"one that would be admitted":               {root.Client("device"), countersign.ClientAuthVerify, true},
		"one that would be admitted, optional":     {root.Client("device"), countersign.ClientAuthOptional, true},
		"of an authority that is not in the store": {other.Client("device"), countersign.ClientAuthVerify, false},
		"expired":                           {root.Client("late", testpki.Expired()), countersign.ClientAuthVerify, false},
		"for servers":                       {root.Client("web", testpki.EKU(x509.ExtKeyUsageServerAuth)), countersign.ClientAuthVerify, false},
		"not among the accepted":            {root.Client("stranger"), countersign.ClientAuthVerify, false},
		"on a revocation list":              {lost, countersign.ClientAuthVerify, false},
		"passed through":                    {root.Client("device"), countersign.ClientAuthPassthrough, false},
		"where no certificate is looked at": {root.Client("device"), countersign.ClientAuthOff, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			close(d.answer)
			p := &Policy{Name: "p", Mode: c.mode, Store: s, Inquirers: []Inquirer{d}}
			if err := p.Prepare(t.Context(), c.client.Chain(), time.Now(), nil); err != nil {
				t.Fatal(err)
			}
			if asked := len(d.questions()) > 0; asked != c.asked {
				t.Fatalf("asked: %t, want %t", asked, c.asked)
			}
			if c.asked {
				if path := d.questions()[0]; len(path) != 2 || !path[0].Equal(c.client.X509) || !path[1].Equal(root.X509) {
					t.Errorf("asked about a path of %d certificates", len(path))
				}
			}
		})
	}
}

// One turn there is, and while somebody is asked about the first client the
// second makes its handshake.
func TestWhoWaitsForAnAnswerHoldsNoTurn(t *testing.T) {
	w := newWorld(t)
	d := newDesk()
	p := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Inquirers: []Inquirer{d}}
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p), Timeout: time.Minute,
		Limits: Limits{AtOnce: 1, Waiting: 1}})
	gate := turns.NewGate(nil)
	outcomes := make(chan Outcome, 2)
	handshake := func(name string) (shook chan error) {
		client, raw := pair(t)
		shook = make(chan error, 1)
		go func() { shook <- tls.Client(client, w.client("api.example.com", w.root.Client(name))).Handshake() }()
		go func() {
			conn, out := s.Handshake(context.Background(), raw, gate)
			if conn != nil {
				conn.Close()
			}
			outcomes <- out
		}()
		return shook
	}
	first := handshake("first")
	<-d.came
	d.mu.Lock()
	d.lacks = false
	d.mu.Unlock()
	second := handshake("second")
	if out := <-outcomes; out.Denial != nil || out.Chain.Leaf().Subject.CommonName != "second" {
		t.Fatalf("the second: %v", out.Denial)
	}
	close(d.answer)
	if out := <-outcomes; out.Denial != nil || out.Chain.Leaf().Subject.CommonName != "first" {
		t.Errorf("the first: %v", out.Denial)
	}
	for _, shook := range []chan error{first, second} {
		if err := <-shook; err != nil {
			t.Error(err)
		}
	}
}

// The policy may have it that without an answer something else decides: the time
// for that is left.
func TestAnAnswerThatDoesNotComeLeavesTimeToFinish(t *testing.T) {
	w := newWorld(t)
	p := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Inquirers: []Inquirer{newDesk()}}
	r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p), Timeout: 2 * time.Second}))
	if _, err, out := r.connect(w.client("api.example.com", w.root.Client("device"))); err != nil || out.Denial != nil {
		t.Errorf("%v, %v", err, out.Denial)
	}
}

func TestAHandshakeThatWaitsForAnAnswerEndsWithItsListener(t *testing.T) {
	w := newWorld(t)
	d := newDesk()
	p := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Inquirers: []Inquirer{d}}
	s := newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p), Timeout: time.Minute})
	client, raw := pair(t)
	ended := make(chan error, 1)
	go func() {
		ended <- tls.Client(client, at(w.client("api.example.com", w.root.Client("device")), tls.VersionTLS12)).Handshake()
	}()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-d.came; cancel() }()
	if conn, out := s.Handshake(ctx, raw, nil); conn != nil || code(out.Denial) != countersign.ShuttingDown {
		t.Errorf("%v", out.Denial)
	}
	if err := <-ended; err == nil {
		t.Error("the client is admitted")
	}
}

func TestAResumedSessionAsksAgain(t *testing.T) {
	for _, version := range versions {
		w := newWorld(t)
		d := newDesk()
		close(d.answer)
		p := &Policy{Name: "p", Mode: countersign.ClientAuthVerify, Store: store(t, "fleet", verify.Config{}, w.root), Inquirers: []Inquirer{d}, Resumption: true}
		r := newRig(t, newServer(t, Config{Certificates: []Certificate{w.certificate()}, Policies: policies(t, p), Keys: NewTicketKeys(TicketKeysConfig{})}))
		client := at(w.client("api.example.com", w.root.Client("device")), version)
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 2 {
			state, err, out := r.connect(client)
			if err != nil || out.Denial != nil || state.DidResume != (i == 1) {
				t.Fatalf("%s, connection %d: resumed %t, %v, %v", tls.VersionName(version), i, state.DidResume, err, out.Denial)
			}
			if n := len(d.questions()); n != i+1 {
				t.Errorf("%s, connection %d: asked %d times", tls.VersionName(version), i, n)
			}
		}
	}
}
