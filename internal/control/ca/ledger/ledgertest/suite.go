package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign.dev/internal/control/ca/ledger"
)

var at = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

// Issued is a good entry about that serial number.
func Issued(serial string) ledger.Entry {
	return ledger.Entry{Event: ledger.Issued, At: at, Serial: serial, Issuer: "AB01", Subject: "CN=" + serial, Profile: "device",
		NotAfter: at.AddDate(1, 0, 0), Certificate: []byte("certificate " + serial)}
}

// Revoked is a good entry about that serial number.
func Revoked(serial string) ledger.Entry {
	return ledger.Entry{Event: ledger.Revoked, At: at.Add(time.Hour), Serial: serial, Reason: "keyCompromise"}
}

// Listed is a good entry about a list of that number.
func Listed(number int64) ledger.Entry {
	return ledger.Entry{Event: ledger.Listed, At: at, Number: number, NextUpdate: at.Add(24 * time.Hour)}
}

// Run holds a variant to the contract. open opens the ledger of t anew, empty
// the first time: what several of them see is the same.
func Run(t *testing.T, open func(t *testing.T) func() ledger.Ledger) {
	t.Run("what was appended is read again, by whoever opens it", func(t *testing.T) { remembers(t, open(t)) })
	t.Run("what does not fit is refused, with all of its call", func(t *testing.T) { refuses(t, open(t)) })
	t.Run("the certificate itself is found", func(t *testing.T) { finds(t, open(t)) })
	t.Run("many append at once, through several openings", func(t *testing.T) { shares(t, open(t)) })
	t.Run("of many who want one serial or number one gets it", func(t *testing.T) { arbitrates(t, open(t)) })
	t.Run("a key has one holder", func(t *testing.T) { holds(t, open(t)) })
	t.Run("what ends early has recorded nothing", func(t *testing.T) { ends(t, open(t)) })
}

func add(t *testing.T, l ledger.Ledger, entries ...ledger.Entry) {
	t.Helper()
	if err := l.Append(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, l ledger.Ledger) []ledger.Certificate {
	t.Helper()
	var certificates []ledger.Certificate
	for c, err := range l.Certificates(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, c)
	}
	return certificates
}

func list(t *testing.T, l ledger.Ledger) ledger.Entry {
	t.Helper()
	e, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func remembers(t *testing.T, open func() ledger.Ledger) {
	l := open()
	if e := list(t, l); e.Number != 0 || len(all(t, l)) != 0 {
		t.Fatalf("a new ledger has %+v", e)
	}
	add(t, l, Issued("0A"), Issued("FF01"))
	add(t, l, Revoked("FF01"), Listed(7), Issued("0B"))
	early := Revoked("77") // nobody knows of its issue
	early.At, early.Subject = at.Add(300*time.Millisecond).In(time.FixedZone("", 3600)), "CN=lost"
	add(t, l, early, Revoked("0A"))
	good := func(serial string, revoked bool) ledger.Certificate {
		c := ledger.Certificate{Serial: serial, Issuer: "AB01", Subject: "CN=" + serial, Profile: "device", IssuedAt: at, NotAfter: at.AddDate(1, 0, 0)}
		if revoked {
			c.RevokedAt, c.Reason = at.Add(time.Hour), "keyCompromise"
		}
		return c
	}
	lost := ledger.Certificate{Serial: "77", Subject: "CN=lost", RevokedAt: at, Reason: "keyCompromise"}
	for name, l := range map[string]ledger.Ledger{"the same": l, "another": open()} {
		if diff := cmp.Diff([]ledger.Certificate{good("0A", true), good("FF01", true), good("0B", false), lost}, all(t, l)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		revoked, err := l.Revoked(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]ledger.Certificate{good("FF01", true), lost, good("0A", true)}, revoked); diff != "" {
			t.Errorf("%s: revoked: %s", name, diff)
		}
		if diff := cmp.Diff(Listed(7), list(t, l)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func refuses(t *testing.T, open func() ledger.Ledger) {
	l := open()
	add(t, l, Issued("01"), Listed(3))
	add(t, l, Revoked("01"))
	for _, conflict := range []ledger.Entry{Issued("01"), Revoked("01"), Listed(3), Listed(2)} {
		if err := l.Append(t.Context(), Issued("02"), conflict); !ledger.Conflict(err) {
			t.Errorf("%+v: error %v, want a conflict", conflict, err)
		}
	}
	bad := Issued("03")
	bad.Event = "unrevoked"
	for _, e := range []ledger.Entry{{}, bad, Issued("0a"), Issued(""), Listed(-1), {Event: ledger.Revoked, Serial: "04"}, Issued("02")} {
		if err := l.Append(t.Context(), Issued("02"), e); err == nil || ledger.Conflict(err) {
			t.Errorf("%+v: error %v, want that it is malformed", e, err)
		}
	}
	if n := len(all(t, l)); n != 1 || list(t, l).Number != 3 {
		t.Errorf("%d certificates, list %d; want what was there before", n, list(t, l).Number)
	}
	add(t, l) // nothing is no fault
}

func finds(t *testing.T, open func() ledger.Ledger) {
	l := open()
	without := Issued("02")
	without.Certificate = nil
	add(t, l, Issued("01"), without, Revoked("03"))
	add(t, l, Revoked("01"))
	for serial, der := range map[string]string{"01": "certificate 01", "02": "", "03": ""} {
		for _, l := range []ledger.Ledger{l, open()} {
			c, ok, err := l.Find(t.Context(), serial)
			if err != nil || !ok || c.Serial != serial || string(c.DER) != der || c.Revoked() != (serial != "02") {
				t.Errorf("%s: %+v, %t, %v", serial, c, ok, err)
			}
		}
	}
	if c, ok, err := l.Find(t.Context(), "04"); ok || err != nil {
		t.Errorf("04: %+v, %v; want that there is none", c, err)
	}
}

func shares(t *testing.T, open func() ledger.Ledger) {
	const openings, callers, each = 3, 8, 4
	ledgers := make([]ledger.Ledger, openings)
	var wg sync.WaitGroup
	for n := range ledgers {
		ledgers[n] = open()
		for m := range callers {
			wg.Go(func() {
				for k := range each {
					serial := fmt.Sprintf("%02X%02X%02X", n, m, k)
					for _, e := range []ledger.Entry{Issued(serial), Revoked(serial)} {
						if err := ledgers[n].Append(t.Context(), e); err != nil {
							t.Error(err)
						}
					}
					if c, ok, err := ledgers[n].Find(t.Context(), serial); !ok || err != nil || !c.Revoked() {
						t.Errorf("%s is %+v, %v right after it was recorded", serial, c, err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, l := range append(ledgers, open()) {
		certificates := all(t, l)
		if len(certificates) != openings*callers*each {
			t.Errorf("%d certificates, want %d", len(certificates), openings*callers*each)
		}
		for _, c := range certificates {
			if !c.Revoked() {
				t.Errorf("%s is not revoked", c.Serial)
			}
		}
	}
}

func arbitrates(t *testing.T, open func() ledger.Ledger) {
	for _, e := range []ledger.Entry{Issued("01"), Revoked("01"), Listed(9)} {
		var wg sync.WaitGroup
		outcomes := make([]error, 12)
		for n := range outcomes {
			l := open()
			wg.Go(func() { outcomes[n] = l.Append(t.Context(), e) })
		}
		wg.Wait()
		won := 0
		for _, err := range outcomes {
			switch {
			case err == nil:
				won++
			case !ledger.Conflict(err):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("%s was recorded %d times", e.Event, won)
		}
	}
}

func ends(t *testing.T, open func() ledger.Ledger) {
	l := open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, Issued("01")); err == nil {
		t.Error("it was recorded for a caller that had gone")
	}
	if n := len(all(t, l)); n != 0 {
		t.Errorf("%d certificates, want none", n)
	}
}
