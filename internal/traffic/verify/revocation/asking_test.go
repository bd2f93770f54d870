package revocation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
	"countersign.dev/internal/traffic/verify/revocation/ocsp"
)

// What a responder is known to say, with what the lists say, in either mode.
func TestWhatResponderAndListsDecideTogether(t *testing.T) {
	now := time.Now()
	root := testpki.NewRoot(t, "Root")
	device := root.Client("device")
	hours := func(this, next int) (time.Time, time.Time) {
		return now.Add(time.Duration(this) * time.Hour), now.Add(time.Duration(next) * time.Hour)
	}
	dated := func(s ocsp.Status, this, next int) *ocsp.Answer {
		a := &ocsp.Answer{Status: s, Responder: "http://ocsp.example.com", Reason: 1, RevokedAt: now}
		a.ThisUpdate, a.NextUpdate = hours(this, next)
		return a
	}
	silent := &ocsp.Answer{Fault: "the OCSP responder http://ocsp.example.com: it did not answer within 2s"}
	expired := dated(ocsp.Good, -2, -1)
	failing := *expired
	failing.Fault = silent.Fault
	none, on, stale := root.CRL(), root.CRL(testpki.Revoke(device)), root.CRL(testpki.CRLValid(hours(-3, -2)))
	const (
		passes      = countersign.Code("")
		hit         = countersign.ClientCertOcspHit
		unknown     = countersign.ClientCertOcspUnknown
		unavailable = countersign.ClientCertOcspUnavailable
		listed      = countersign.ClientCertCrlHit
		doubtful    = countersign.ClientCertCrlProcessingError
	)
	for _, c := range []struct {
		name            string
		answer          *ocsp.Answer
		list            []byte
		missing         revocation.Answer
		grace           time.Duration
		prefer, require countersign.Code
		words           string // of the refusal under require, else of the trace
	}{
		{name: "good", answer: dated(ocsp.Good, -1, 1), words: "is good, says the OCSP responder http://ocsp.example.com"},
		{name: "good, and no list where one is needed", answer: dated(ocsp.Good, -1, 1), missing: revocation.Refuse},
		{name: "good, and the list is stale", answer: dated(ocsp.Good, -1, 1), list: stale},
		{name: "good, and on the list", answer: dated(ocsp.Good, -1, 1), list: on, prefer: listed, require: listed},
		{name: "revoked", answer: dated(ocsp.Revoked, -1, 1), prefer: hit, require: hit, words: "reason keyCompromise, says the OCSP responder http://ocsp.example.com (answer of "},
		{name: "revoked, and not on the list", answer: dated(ocsp.Revoked, -1, 1), list: none, prefer: hit, require: hit},
		{name: "was called revoked, and the answer has ended", answer: dated(ocsp.Revoked, -2, -1), prefer: hit, require: hit},
		{name: "unknown", answer: dated(ocsp.Unknown, -1, 1), require: unknown, words: "does not know it"},
		{name: "unknown, and a list is needed", answer: dated(ocsp.Unknown, -1, 1), missing: revocation.Refuse, prefer: doubtful, require: unknown},
		{name: "unknown, and on the list", answer: dated(ocsp.Unknown, -1, 1), list: on, prefer: listed, require: listed},
		{name: "no answer", answer: silent, require: unavailable, words: "it did not answer within 2s, and revocation.ocsp is require"},
		{name: "no answer, and a list is needed", answer: silent, missing: revocation.Refuse, prefer: doubtful, require: unavailable},
		{name: "no answer, and not on the list", answer: silent, list: none, missing: revocation.Refuse, require: unavailable},
		{name: "no answer, and on the list", answer: silent, list: on, prefer: listed, require: listed},
		{name: "no answer, and the list is stale", answer: silent, list: stale, prefer: doubtful, require: unavailable},
		{name: "never asked", require: unavailable, words: "no OCSP responder has been asked"},
		{name: "an answer that has ended", answer: expired, require: unavailable, words: "counted until"},
		{name: "an answer that has ended, and no newer one", answer: &failing, require: unavailable, words: "there is no newer one: the OCSP responder"},
		{name: "an answer within its grace", answer: expired, grace: 2 * time.Hour},
	} {
		for mode, code := range map[revocation.Mode]countersign.Code{revocation.ModePrefer: c.prefer, revocation.ModeRequire: c.require, revocation.ModeOff: "off"} {
			t.Run(c.name+", "+string(mode), func(t *testing.T) {
				view := &ocsp.View{Memory: ocsp.NewMemory(10)}
				if c.answer != nil {
					view.Put(ocsp.KeyOf(view.Terms, root.X509, device.X509.SerialNumber), c.answer, now)
				}
				var lists []*crl.List
				if c.list != nil {
					lists = parse(t, c.list)
				}
				checker, _, err := revocation.New(revocation.Config{Lists: lists, Missing: c.missing, Grace: c.grace,
					Asking: revocation.Asking{Mode: mode, Answers: view}}, path(root), now)
				if err != nil {
					t.Fatal(err)
				}
				if code == "off" { // what a responder said is not read
					code = passes
					switch {
					case slices.Equal(c.list, on):
						code = listed
					case slices.Equal(c.list, stale), c.list == nil && c.missing == revocation.Refuse:
						code = doubtful
					}
				}
				var trace []string
				until, denial := checker.Check(path(device), now, func(_ bool, detail string) { trace = append(trace, detail) })
				if got := codeOf(denial); got != code {
					t.Fatalf("%q, want %q: %v", got, code, denial)
				}
				if mode == revocation.ModeRequire && !strings.Contains(strings.Join(trace, "\n"), c.words) {
					t.Errorf("%q lacks %q", trace, c.words)
				}
				if good := c.answer != nil && c.answer.Status == ocsp.Good && mode != revocation.ModeOff && c.list == nil; good && code == passes && c.missing == "" &&
					now.Before(c.answer.NextUpdate.Add(c.grace)) && !until.Equal(c.answer.NextUpdate.Add(c.grace)) {
					t.Errorf("until %v", until)
				}
			})
		}
	}
}

func codeOf(d *countersign.Denial) countersign.Code {
	if d == nil {
		return ""
	}
	return d.Code
}

func TestTheChainIsAskedAboutWhereTheScopeSaysSo(t *testing.T) {
	now := time.Now()
	root := testpki.NewRoot(t, "Root")
	issuing := root.Intermediate("Issuing")
	device := issuing.Client("device")
	view := &ocsp.View{Memory: ocsp.NewMemory(10)}
	answer := func(c *testpki.Certificate, s ocsp.Status) {
		view.Put(ocsp.KeyOf(view.Terms, c.Issuer.X509, c.X509.SerialNumber), &ocsp.Answer{Status: s, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, now)
	}
	answer(device, ocsp.Good)
	answer(issuing, ocsp.Revoked)
	for scope, code := range map[revocation.Scope]countersign.Code{revocation.ScopeLeaf: "", revocation.ScopeChain: countersign.ClientCertOcspHit} {
		checker, _, err := revocation.New(revocation.Config{Scope: scope, Asking: revocation.Asking{Mode: revocation.ModeRequire, Answers: view}}, path(root), now)
		if err != nil {
			t.Fatal(err)
		}
		if _, d := checker.Check(path(device), now, nil); codeOf(d) != code {
			t.Errorf("%s: %v", scope, d)
		}
	}
}

// A session ticket is sealed to the generation, and live connections are asked
// when somebody may be concerned.
func TestToAskOtherwiseIsAnotherGeneration(t *testing.T) {
	now := time.Now()
	root := testpki.NewRoot(t, "Root")
	memory := ocsp.NewMemory(10)
	asking := func(mode revocation.Mode, terms byte) *revocation.Checker {
		c, _, err := revocation.New(revocation.Config{Asking: revocation.Asking{Mode: mode, Answers: &ocsp.View{Memory: memory, Terms: [32]byte{terms}}}}, path(root), now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all := []*revocation.Checker{asking(revocation.ModeOff, 0), asking(revocation.ModePrefer, 0), asking(revocation.ModeRequire, 0), asking(revocation.ModeRequire, 1)}
	for i, a := range all {
		for j, b := range all {
			if _, known := a.Since(b, now); known != (i == j) || (a.Digest() == b.Digest()) != (i == j) {
				t.Errorf("%d and %d: known %t, same digest %t", i, j, known, a.Digest() == b.Digest())
			}
		}
	}
	for _, bad := range []revocation.Asking{{Mode: "maybe", Answers: &ocsp.View{Memory: memory}}, {Mode: revocation.ModePrefer}} {
		if _, _, err := revocation.New(revocation.Config{Asking: bad}, path(root), now); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestToReadAnAnswerDoesNotAllocate(t *testing.T) {
	now := time.Now()
	device := testpki.NewRoot(t, "Root").Client("device")
	view := &ocsp.View{Memory: ocsp.NewMemory(10)}
	view.Put(ocsp.KeyOf(view.Terms, device.Issuer.X509, device.X509.SerialNumber), &ocsp.Answer{Status: ocsp.Good, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, now)
	if n := testing.AllocsPerRun(100, func() { view.Find(device.Issuer.X509, device.X509.SerialNumber) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
