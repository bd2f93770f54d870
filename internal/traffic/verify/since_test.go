package verify_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

// generations are stores of one name, as they might follow each other.
func generations(t *testing.T) (all map[string]*verify.Store, clients []*testpki.Certificate) {
	root, other := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Other")
	mid, twin := root.Intermediate("Mid"), root.Intermediate("Mid")
	a, b, c := root.Client("a"), mid.Client("b"), other.Client("c")
	d := twin.Client("d")
	hours := func(this, next time.Duration) testpki.CRLOption {
		return testpki.CRLValid(time.Now().Add(this*time.Hour), time.Now().Add(next*time.Hour))
	}
	long := hours(-1, 48)
	cn := func(names ...string) []verify.Filter { return []verify.Filter{{SubjectCN: names}} }
	refuse := revocation.Config{Missing: revocation.Refuse}
	with := func(c revocation.Config, ders ...[]byte) verify.Config {
		c.Lists = lists(t, ders...)
		return verify.Config{Revocation: c}
	}
	chain := revocation.Config{Scope: revocation.ScopeChain}
	all = map[string]*verify.Store{}
	add := func(name string, cfg verify.Config, anchors ...*testpki.Certificate) {
		cfg.Name = "fleet"
		all[name] = store(t, cfg, anchors...)
	}
	add("plain", verify.Config{}, root, other)
	add("one anchor", verify.Config{}, root)
	add("filter a", verify.Config{Accept: cn("a")}, root, other)
	add("filter a b", verify.Config{Accept: append(cn("a"), cn("b")...)}, root, other)
	add("keys", verify.Config{Keys: verify.KeyRules{Ed25519: true}}, root, other)
	add("lists", with(revocation.Config{}, root.CRL(long, testpki.CRLNumber(1)), mid.CRL(long, testpki.CRLNumber(1))), root, other)
	add("lists, a", with(revocation.Config{}, root.CRL(long, testpki.CRLNumber(2), testpki.Revoke(a)), mid.CRL(long, testpki.CRLNumber(1))), root, other)
	add("lists, b", with(revocation.Config{}, root.CRL(long, testpki.CRLNumber(1)), mid.CRL(long, testpki.CRLNumber(2), testpki.Revoke(b))), root, other)
	add("lists, a and b", with(revocation.Config{}, root.CRL(long, testpki.CRLNumber(3), testpki.Revoke(a)), mid.CRL(long, testpki.CRLNumber(3), testpki.Revoke(b))), root, other)
	add("lists, of the twin", with(revocation.Config{}, root.CRL(long, testpki.CRLNumber(1)), twin.CRL(long, testpki.CRLNumber(1))), root, other)
	add("shorter lists", with(revocation.Config{}, root.CRL(hours(-1, 24), testpki.CRLNumber(4)), mid.CRL(long, testpki.CRLNumber(4))), root, other)
	add("stale lists", with(revocation.Config{}, root.CRL(hours(-9, -1)), mid.CRL(long)), root, other)
	add("one list", with(revocation.Config{}, root.CRL(long)), root, other)
	add("refuse", with(refuse, root.CRL(long), mid.CRL(long)), root, other)
	add("refuse, one list", with(refuse, root.CRL(long)), root, other)
	add("chain", with(chain, root.CRL(long, testpki.CRLNumber(1)), mid.CRL(long, testpki.CRLNumber(1))), root, other)
	add("chain, mid", with(chain, root.CRL(long, testpki.CRLNumber(2), testpki.Revoke(mid)), mid.CRL(long, testpki.CRLNumber(1))), root, other)
	return all, []*testpki.Certificate{a, b, c, d}
}

// Whoever passes one generation and not the next is among those whom Since
// suspects; and Again decides as Verify does.
func TestSinceSuspectsEverybodyWhoIsRefused(t *testing.T) {
	all, clients := generations(t)
	refused, exact := 0, 0
	for from, before := range all {
		passed := map[*testpki.Certificate]verify.Chain{}
		for _, c := range clients {
			if chain, d := before.Verify(c.Chain(), verify.Options{}); d == nil {
				chain.Rest()
				passed[c] = chain
			}
		}
		for to, after := range all {
			change := after.Since(before)
			if from == to && !change.Nobody() {
				t.Errorf("%s is not like itself: %+v", from, change)
			}
			for c, chain := range passed {
				name := fmt.Sprintf("from %s to %s, client %s", from, to, c.X509.Subject.CommonName)
				_, d := after.Verify(c.Chain(), verify.Options{})
				again, d2 := after.Again(chain, verify.Options{})
				if (d == nil) != (d2 == nil) || d != nil && d.Code != d2.Code {
					t.Errorf("%s: Again says %v, Verify %v", name, d2, d)
				}
				if d2 == nil && (again.Generation() != after.Generation() || again.StoreName() != "fleet" || !again.Verified()) {
					t.Errorf("%s: Again has a proof of another store", name)
				}
				if d == nil && !again.GoodUntil().IsZero() && change.Nobody() && again.GoodUntil().Before(chain.GoodUntil()) {
					t.Errorf("%s: good until %v, before until %v, and nobody is suspected", name, again.GoodUntil(), chain.GoodUntil())
				}
				if d == nil || change.Anybody {
					continue
				}
				refused++
				if !suspected(change, chain) {
					t.Errorf("%s: refused (%v), and not suspected", name, d)
				}
				if len(change.Revoked) == 1 {
					exact++
				}
			}
		}
	}
	if refused == 0 || exact == 0 {
		t.Errorf("%d refusals were foretold by name, %d of them alone: this test sees too little", refused, exact)
	}
}

// suspected reports whether a certificate of the chain is among the revoked.
func suspected(change verify.Change, chain verify.Chain) bool {
	for _, c := range chain.Path() {
		for _, r := range change.Revoked {
			if bytes.Equal(r.Issuer, c.RawIssuer) && bytes.Equal(r.Serial, c.SerialNumber.Bytes()) {
				return true
			}
		}
	}
	return false
}

// Lists that are replaced by longer ones, the common case, suspect by name.
func TestSinceNamesWhoCameOntoALongerList(t *testing.T) {
	all, clients := generations(t)
	a, b := clients[0], clients[1]
	for _, tt := range []struct {
		from, to string
		want     []*testpki.Certificate
	}{
		{"lists", "lists, a", []*testpki.Certificate{a}},
		{"lists", "lists, b", []*testpki.Certificate{b}},
		{"lists", "lists, a and b", []*testpki.Certificate{a, b}},
		{"lists, a", "lists, a and b", []*testpki.Certificate{b}},
		{"lists, a", "lists", nil},
		{"one anchor", "plain", nil},
		{"filter a", "filter a b", nil},
		{"filter a b", "plain", nil},
		{"chain", "chain, mid", []*testpki.Certificate{b.Issuer}},
	} {
		change := all[tt.to].Since(all[tt.from])
		if change.Anybody || len(change.Revoked) != len(tt.want) {
			t.Errorf("from %s to %s: %+v, want %d certificates", tt.from, tt.to, change, len(tt.want))
			continue
		}
		for _, c := range tt.want {
			found := false
			for _, r := range change.Revoked {
				found = found || bytes.Equal(r.Issuer, c.X509.RawIssuer) && bytes.Equal(r.Serial, c.X509.SerialNumber.Bytes())
			}
			if !found {
				t.Errorf("from %s to %s: %s is not suspected", tt.from, tt.to, c.X509.Subject)
			}
		}
	}
}

// A list of an intermediate is of the twin of its name when another key signed it:
// who asked whom is passed on over a generation that nobody asked.
func TestSinceRemembersWhoSigned(t *testing.T) {
	all, clients := generations(t)
	b := clients[1]
	if _, d := all["lists"].Verify(b.Chain(), verify.Options{}); d != nil {
		t.Fatal(d)
	}
	if change := all["lists, a"].Since(all["lists"]); change.Anybody {
		t.Fatal("anybody is suspected")
	}
	if change := all["lists, of the twin"].Since(all["lists, a"]); !change.Anybody {
		t.Errorf("%+v, want anybody to be suspected", change)
	}
}
