package ocsp

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"sync"
	"time"

	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// Config is what an Asker works with; its zero value works.
type Config struct {
	Logger *slog.Logger // nil: nothing is logged
	// Holds reports whether a connection rests on the certificate: then its answer
	// is renewed before it ends. nil: none does.
	Holds func(revocation.Certificate) bool
	// Suspect is told of certificates whose answers have become worse. nil: nobody
	// wants to know.
	Suspect func([]revocation.Certificate)
	Answers int // that are kept; 0: ocsp.MaxAnswers
}

const (
	// mostFlights bounds the certificates that are being asked about.
	mostFlights = 4096
	// atOnce bounds the requests under way, and eachAtOnce those to one responder.
	atOnce, eachAtOnce = 64, 16
	// mostURLs bounds how many responders of one certificate are tried.
	mostURLs = 3
)

// An Asker asks responders, and keeps their answers, for all trust stores. It is
// safe for concurrent use.
type Asker struct {
	cfg    Config
	memory *ocsp.Memory
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	slots  chan struct{} // for requests

	mu         sync.Mutex
	closed     bool
	flights    map[ocsp.Key]*flight
	responders map[string]*responder // by URL
	inForce    map[string]*Line      // by trust store
	clients    map[string]*clients   // by what they may reach
	schedule   schedule
	sooner     chan struct{} // has a value when the schedule begins sooner
	running    sync.WaitGroup
}

// A flight is one certificate that is being asked about.
type flight struct{ done chan struct{} }

// New returns an Asker that asks nobody yet. Close ends it.
func New(cfg Config) *Asker {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Holds == nil {
		cfg.Holds = func(revocation.Certificate) bool { return false }
	}
	if cfg.Suspect == nil {
		cfg.Suspect = func([]revocation.Certificate) {}
	}
	a := &Asker{
		cfg: cfg, memory: ocsp.NewMemory(cfg.Answers), slots: make(chan struct{}, atOnce), sooner: make(chan struct{}, 1),
		flights: map[ocsp.Key]*flight{}, responders: map[string]*responder{}, inForce: map[string]*Line{}, clients: map[string]*clients{},
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Close ends what is under way, and waits for it.
func (a *Asker) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.running.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clients {
		c.close()
	}
}

// InForce says which lines decisions are made with from now on. What others
// learned is not renewed.
func (a *Asker) InForce(lines []*Line) {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.inForce)
	used := map[string]bool{}
	for _, l := range lines {
		a.inForce[l.settings.TrustStore] = l
		used[l.settings.reach()] = true
	}
	for key, c := range a.clients {
		if !used[key] {
			c.close() // what is under way goes on
			delete(a.clients, key)
		}
	}
}

// A subject is a certificate to be asked about.
type subject struct {
	key    ocsp.Key
	issuer *x509.Certificate
	serial *big.Int
	named  []string // by the certificate: URLs of responders
	urls   []string // that are asked
}

func (s *subject) certificate() revocation.Certificate {
	return revocation.Certificate{Issuer: s.issuer.RawSubject, Serial: s.serial.Bytes()}
}

// fly has s asked about, unless that is under way, or needless by now; nil: it
// cannot be now.
func (a *Asker) fly(l *Line, s *subject, unless func() bool) *flight {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.flights[s.key]; f != nil {
		return f
	}
	if unless != nil && unless() { // a flight has landed in this moment
		f := &flight{make(chan struct{})}
		close(f.done)
		return f
	}
	if a.closed || len(a.flights) >= mostFlights {
		return nil
	}
	f := &flight{make(chan struct{})}
	a.flights[s.key] = f
	a.running.Go(func() {
		defer close(f.done)
		a.learn(l, s)
		a.mu.Lock()
		delete(a.flights, s.key)
		a.mu.Unlock()
	})
	return f
}

// learn asks about s, keeps what it learns, and tells who has to know.
func (a *Asker) learn(l *Line, s *subject) {
	ctx, cancel := context.WithTimeout(a.ctx, l.settings.Timeout)
	defer cancel()
	answer := a.ask(ctx, l, s)
	if a.ctx.Err() != nil {
		return // which says nothing about the responder
	}
	if had := a.memory.Get(s.key); answer.Fault != "" {
		answer.Failures = 1
		if had != nil {
			answer.Failures += had.Failures
		}
	}
	now := time.Now()
	before, kept := a.memory.Put(s.key, &answer, now)
	a.renewAt(l, s, renewalOf(kept, now))
	if worse(before, kept) {
		a.cfg.Suspect([]revocation.Certificate{s.certificate()})
	}
}

// worse reports whether somebody whom the answer before let pass may not pass
// any more, or not for as long.
func worse(before, kept *ocsp.Answer) bool {
	if before == nil || before.Status == "" {
		return kept.Status == ocsp.Revoked || kept.Status == ocsp.Unknown
	}
	return kept.Status != before.Status && kept.Status != ocsp.Good || kept.NextUpdate.Before(before.NextUpdate)
}

// ask asks the responders of s, one after the other.
func (a *Asker) ask(ctx context.Context, l *Line, s *subject) ocsp.Answer {
	fault, again := "", time.Time{}
	for _, u := range s.urls[:min(len(s.urls), mostURLs)] {
		answer, retry, err := a.askOne(ctx, l, s, u)
		if err == nil {
			return answer
		}
		if fault != "" {
			fault += "; "
		}
		fault += fmt.Sprintf("the OCSP responder %s: %v", name(u), err)
		if again.IsZero() || retry.Before(again) {
			again = retry
		}
		if ctx.Err() != nil {
			break
		}
	}
	return ocsp.Answer{Fault: fault, Again: again}
}

const (
	// renewAtMost is how long an answer is kept without another look.
	renewAtMost = 12 * time.Hour
	// unknownFor is after how long a responder may have learned of a certificate.
	unknownFor = time.Minute
	// failedFor is after how long a question that failed is worth asking again.
	failedFor = 2 * time.Second
)

// again says when an answer is to be renewed: a good part of its time before it
// ends, and not all at the same moment.
func again(answer *ocsp.Answer, now time.Time) time.Time {
	d := answer.NextUpdate.Sub(now) * 3 / 4
	if answer.Status == ocsp.Unknown {
		d = min(d, unknownFor)
	}
	return now.Add(jitter(min(max(d, time.Second), renewAtMost)))
}

// renewedFor is how long, at most, passes until a certificate of somebody who is
// connected is asked about again, of which the responder has nothing to say.
const renewedFor = 5 * time.Minute

// renewalOf says when a certificate of somebody who is connected is asked about
// again. Nobody waits for it: there may be as many as connections.
func renewalOf(kept *ocsp.Answer, now time.Time) time.Time {
	var wait time.Duration
	switch {
	case kept.Failures > 0:
		wait = min(failedFor<<min(kept.Failures-1, 10), renewedFor)
	case kept.Status == ocsp.Unknown:
		wait = renewedFor
	}
	if at := now.Add(jitter(wait)); at.After(kept.Again) {
		return at
	}
	return kept.Again
}

// jitter takes up to a tenth off d.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/10+1) }
