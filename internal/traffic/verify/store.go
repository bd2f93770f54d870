package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign.dev/internal/traffic/verify/constraint"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/vouch"
)

// Config is a trust store.
type Config struct {
	Name    string
	Anchors []*x509.Certificate // roots, or intermediates as anchors; at least one
	Accept  []Filter            // none: every certificate that chains; else one filter must match
	Keys    KeyRules            // of clients, intermediates and anchors
	Limits  Limits              // of Anchors together

	Revocation revocation.Config
	Remember   int              // how many verified chains are remembered; 0: 65536, negative: none
	Now        func() time.Time // nil: time.Now
}

// A Store is one trust store under one generation: immutable, safe for
// concurrent use. Make one with New.
type Store struct {
	*origin
	anchors  []*x509.Certificate
	pool     *x509.CertPool
	ageless  *x509.CertPool // the anchors without their validity; see build
	original map[*x509.Certificate]*x509.Certificate
	byName   vouch.Anchors
	limited  constraint.Kinds // by name constraints of anchors
	accept   []*Matcher
	filters  []string // accept in words

	fingerprints map[[sha256.Size]byte]bool // of the anchors

	keys       KeyRules
	revocation *revocation.Checker
	memory     *memory
	now        func() time.Time
	warnings   []Problem
}

// New makes a Store, or returns every fault of cfg at once.
func New(cfg Config) (*Store, error) {
	s := &Store{
		origin:   &origin{name: cfg.Name},
		now:      cfg.Now,
		anchors:  slices.Clone(cfg.Anchors),
		pool:     x509.NewCertPool(),
		ageless:  x509.NewCertPool(),
		original: make(map[*x509.Certificate]*x509.Certificate),

		fingerprints: make(map[[sha256.Size]byte]bool),
	}
	if s.now == nil {
		s.now = time.Now
	}
	now := s.now()
	var errs []error
	fault := func(err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("trust store %q: %w", cfg.Name, err))
		}
	}
	keys, err := cfg.Keys.withDefaults()
	fault(err)
	s.keys = keys
	s.byName, s.limited = vouch.NewAnchors(s.anchors), constraint.Limited(s.anchors...)
	for _, err := range s.addAnchors(cfg.Limits.withDefaults(), now) {
		fault(err)
	}
	for i, f := range cfg.Accept {
		m, err := f.Compile()
		if err != nil {
			fault(fmt.Errorf("accept[%d]: %w", i, err))
			continue
		}
		s.accept = append(s.accept, m)
		s.filters = append(s.filters, fmt.Sprintf("%q", f))
	}
	checker, warnings, err := revocation.New(cfg.Revocation, s.anchors, now)
	fault(err)
	for _, w := range warnings {
		s.warnings = append(s.warnings, Problem{What: w, Warning: true})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.revocation = checker
	if cfg.Remember == 0 {
		cfg.Remember = 65536
	}
	s.memory = newMemory(cfg.Remember)
	s.generation = s.hash()
	return s, nil
}

func (s *Store) addAnchors(limits Limits, now time.Time) []error {
	var errs []error
	if len(s.anchors) == 0 {
		errs = append(errs, errors.New("it has no CA certificate, so that it could verify nobody"))
	}
	if n := len(s.anchors); n > limits.CACertificates {
		errs = append(errs, fmt.Errorf("it has %d CA certificates; want at most %d: spread them over several trust stores, or raise the limit", n, limits.CACertificates))
	}
	subjects := 0
	for _, a := range s.anchors {
		subjects += len(a.RawSubject) + 2
		sum := sha256.Sum256(a.Raw)
		if s.fingerprints[sum] {
			errs = append(errs, fmt.Errorf("the CA certificate %s is there twice; remove one of them", describe.Certificate(a)))
		}
		s.fingerprints[sum] = true
		for _, p := range anchorProblems(a, now) {
			if !p.Warning { // LoadBundle has given the warnings, with their lines
				errs = append(errs, p)
			}
		}
		if why := s.keys.check(a); why != "" {
			errs = append(errs, fmt.Errorf("the CA certificate %s: %s", describe.Certificate(a), why))
		}
		s.pool.AddCert(a)
		copied := ageless(a)
		s.original[copied] = a
		s.ageless.AddCert(copied)
	}
	if subjects > limits.SubjectSize {
		errs = append(errs, fmt.Errorf("its CAs' subjects take %d bytes; want at most %d: spread the CAs over several trust stores, or raise the limit", subjects, limits.SubjectSize))
	}
	return errs
}

// hash returns the generation: everything that decides, in an order of its own.
func (s *Store) hash() (sum [sha256.Size]byte) {
	fingerprints := make([][]byte, 0, len(s.fingerprints))
	for f := range s.fingerprints {
		fingerprints = append(fingerprints, f[:])
	}
	slices.SortFunc(fingerprints, bytes.Compare)
	s.origin.anchors = sha256.Sum256(bytes.Join(fingerprints, nil))
	slices.Sort(s.filters)
	return sha256.Sum256(fmt.Appendf(nil, "trust store 1\n%x\n%s\n%q\n%x\n", fingerprints, s.filters, fmt.Sprint(s.keys), s.revocation.Digest()))
}

// Name returns the trust store's name in the configuration.
func (s *Store) Name() string { return s.name }

// Generation returns a hash of everything that decides: anchors, filters, key
// rules, revocation lists and what is to be done without one. Equal content
// has an equal generation.
func (s *Store) Generation() [32]byte { return s.generation }

// Anchors returns the trust anchors. The caller must not change them.
func (s *Store) Anchors() []*x509.Certificate { return s.anchors }

// Pool returns the anchors for tls.Config.ClientCAs, whose names a server that
// advertises them puts into its CertificateRequest.
func (s *Store) Pool() *x509.CertPool { return s.pool }

// Warnings returns what is doubtful about the store although it works: a
// revocation list that is out of date, or of no anchor. What is doubtful about
// the anchors, LoadBundle says.
func (s *Store) Warnings() []Problem { return s.warnings }

// Remembered returns how many verified chains are in the memory.
func (s *Store) Remembered() int { return s.memory.len() }
