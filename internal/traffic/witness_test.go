package traffic_test

import (
	"crypto/sha256"
	"crypto/x509"
	"io"
	"strings"
	"sync"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic"
	"countersign.dev/internal/traffic/verify"
)

// A witness writes down what it is told.
type witness struct {
	mu    sync.Mutex
	lines []string
	left  chan [32]byte
}

func (w *witness) Came(listener, policy string, chain verify.Chain, fingerprint [32]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := chain.Path()
	line := listener + " " + policy + " " + chain.StoreName() + " " + chain.Leaf().Subject.CommonName + " " + path[len(path)-1].Subject.CommonName
	if fingerprint != sha256.Sum256(chain.Presented()[0].Raw) {
		line += ", whose fingerprint is another one"
	}
	w.lines = append(w.lines, line)
}

func (w *witness) Refused(listener, policy string, presented []*x509.Certificate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, "refused: "+listener+" "+policy+" "+presented[0].Subject.CommonName)
}

func (w *witness) Left(fingerprint [32]byte) { w.left <- fingerprint }

func (w *witness) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func TestAWitnessIsToldWhoCameAndWhoLeft(t *testing.T) {
	w := &witness{left: make(chan [32]byte, 8)}
	r := startWith(t, echo(t), fleetConfig, traffic.Config{Witness: w})
	device := r.root.Intermediate("Issuing CA").Client("device-7")
	c := r.dial(device)
	c.get().served(t)
	c.conn.Close()
	got := <-w.left
	if got != sha256.Sum256(device.X509.Raw) {
		t.Errorf("who left has the fingerprint %x", got)
	}
	if want := "devices default fleet device-7 Fleet Root"; w.told() != want {
		t.Errorf("the witness was told\n%s\nwant\n%s", w.told(), want)
	}
	if stranger, err := r.try(testpki.NewRoot(t, "Another Root").Client("stranger")); err == nil {
		io.Copy(io.Discard, stranger.in) // to the alert
	}
	r.stop()
	if !strings.HasSuffix(w.told(), "\nrefused: devices default stranger") || strings.Count(w.told(), "\n") != 1 || len(w.left) != 0 {
		t.Errorf("after a refusal the witness was told\n%s", w.told())
	}
}

func TestWhoIsConnectedIsShownWithItsCertificates(t *testing.T) {
	r := start(t, fleetConfig)
	issuing := r.root.Intermediate("Issuing CA")
	one, two := issuing.Client("one"), r.root.Client("two")
	for _, cert := range []*testpki.Certificate{one, two, two} {
		r.dial(cert).get().served(t)
	}
	var names []string
	seen := map[[32]byte]bool{}
	err := r.node.Present(t.Context(), func(p *traffic.Presence) bool { return !seen[p.Fingerprint] }, func(p *traffic.Presence) error {
		seen[p.Fingerprint] = true
		names = append(names, p.Presented[0].Subject.CommonName)
		policy := p.Under(r.node.Current().Listeners)
		if policy == nil || p.Listener != "devices" || p.Policy != policy.Name || !p.Anchor.Equal(r.root.X509) {
			t.Errorf("%+v is not how the client is connected", p)
			return nil
		}
		if _, denial := policy.Admit(p.Presented, p.Since, nil); denial != nil {
			t.Errorf("a client that is connected is refused: %v", denial)
		}
		return nil
	})
	if err != nil || len(names) != 2 {
		t.Errorf("shown are %v (%v), want one and two", names, err)
	}
}
