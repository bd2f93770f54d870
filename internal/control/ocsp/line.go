package ocsp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign.dev/internal/control/source/reach"
	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// Settings say how a trust store asks.
type Settings struct {
	TrustStore string // its name, which stays when the settings change
	// Responder is the URL that is asked about every certificate. "": those that
	// certificates name (RFC 5280 section 4.2.2.1), where Hosts lets them.
	Responder string
	Hosts     []string // as reach.New takes them
	Nonce     bool     // have responses be made for the request
	Timeout   time.Duration
	Chain     bool // ask about intermediates, too
}

// reach is equal for settings that let the same hosts be reached.
func (s *Settings) reach() string {
	if s.Responder != "" {
		return "" // whatever its address: somebody wrote it for us
	}
	return "hosts " + strings.Join(s.Hosts, " ")
}

// A Line leads from one trust store's clients to their responders. It is a
// handshake.Inquirer.
type Line struct {
	asker    *Asker
	settings Settings
	hosts    *reach.Hosts
	view     ocsp.View
}

// Line returns one with these settings. Lines share answers: they are signed,
// whoever gave them, so that another responder, or other hosts, leave those that are
// connected in peace. That there is a nonce is something else.
func (a *Asker) Line(s Settings) *Line {
	s.Hosts = slices.Sorted(slices.Values(s.Hosts))
	l := &Line{asker: a, settings: s, hosts: reach.New(s.Hosts)}
	l.view = ocsp.View{Memory: a.memory, Terms: sha256.Sum256(fmt.Appendf(nil, "nonce %t", s.Nonce))}
	return l
}

// View is where decisions find the answers.
func (l *Line) View() *ocsp.View { return &l.view }

// Lacks reports whether a certificate of the path has to be asked about first.
// An answer that counts, but is soon to end, is renewed behind its back.
func (l *Line) Lacks(path []*x509.Certificate, now time.Time) bool {
	lacks := false
	for i := range l.askedAbout(path) {
		switch cert, by := path[i], path[i+1]; l.state(by, cert, now) {
		case lacking:
			lacks = true
		case ending:
			if s, err := l.subject(cert, by); err == nil {
				l.asker.fly(l, s, nil)
			}
		}
	}
	return lacks
}

// Inquire asks about those certificates of the path that have to be asked about.
func (l *Line) Inquire(ctx context.Context, path []*x509.Certificate, now time.Time) {
	var flights []*flight
	for i := range l.askedAbout(path) {
		cert, by := path[i], path[i+1]
		if l.state(by, cert, now) != lacking {
			continue
		}
		s, err := l.subject(cert, by)
		if err == nil {
			if f := l.asker.fly(l, s, func() bool { return l.state(by, cert, now) != lacking }); f != nil {
				flights = append(flights, f)
				continue
			}
			err = fmt.Errorf("%d certificates are being asked about at the moment", mostFlights)
		}
		l.asker.memory.Put(s.key, &ocsp.Answer{Fault: err.Error(), Again: now.Add(failedFor)}, now)
	}
	for _, f := range flights {
		select {
		case <-f.done:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Line) askedAbout(path []*x509.Certificate) int {
	if l.settings.Chain {
		return len(path) - 1
	}
	return min(1, len(path)-1)
}

// The states of what is known about a certificate.
type state int

const (
	known   state = iota
	ending        // it counts still
	lacking       // nothing counts, and it is worth asking
)

func (l *Line) state(by, cert *x509.Certificate, now time.Time) state {
	a := l.asker.memory.Get(ocsp.KeyOf(l.view.Terms, by, cert.SerialNumber))
	if a == nil {
		return lacking
	}
	counts := a.Status != "" && !now.After(a.NextUpdate)
	switch {
	case now.Before(a.Again) && (counts || a.Fault != ""):
		return known
	case counts && a.Status != ocsp.Unknown:
		return ending
	}
	return lacking
}

// subject says whom to ask about cert. With an error there is nobody.
func (l *Line) subject(cert, by *x509.Certificate) (*subject, error) {
	s := &subject{issuer: by, serial: cert.SerialNumber}
	for _, u := range cert.OCSPServer {
		s.named = append(s.named, strings.Clone(u))
	}
	return s, l.direct(s)
}

// direct says whom to ask about s by the settings of l, which may be newer than it.
func (l *Line) direct(s *subject) error {
	s.key, s.urls = ocsp.KeyOf(l.view.Terms, s.issuer, s.serial), nil
	if l.settings.Responder != "" {
		s.urls = []string{l.settings.Responder}
		return nil
	}
	if len(s.named) == 0 {
		return fmt.Errorf("the certificate names no OCSP responder (RFC 5280 section 4.2.2.1), and revocation.ocsp.responder is not set")
	}
	var refused error
	for _, u := range s.named {
		if err := l.hosts.Check(u); err == nil {
			s.urls = append(s.urls, u)
		} else if refused == nil {
			refused = fmt.Errorf("the OCSP responder %.200q, which the certificate names, is not asked: %w", u, err)
		}
	}
	if len(s.urls) == 0 {
		return refused
	}
	return nil
}
