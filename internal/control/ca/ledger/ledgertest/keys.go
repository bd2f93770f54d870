package ledgertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"

	"countersign.dev/internal/control/ca/ledger"
)

// Of is Issued with a certificate of that subject for that key; without a subject it
// has an alternative name.
func Of(t testing.TB, serial string, key *ecdsa.PrivateKey, subject, host string) ledger.Entry {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: subject}}
	if host != "" {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	e := Issued(serial)
	e.Certificate, e.Subject = der, ""
	if subject != "" {
		e.Subject = "CN=" + subject
	}
	return e
}

// Fresh is an entry whose key nobody may have had.
func Fresh(e ledger.Entry) ledger.Entry {
	e.Fresh = true
	return e
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func holds(t *testing.T, open func() ledger.Ledger) {
	l := open()
	one, two, three := newKey(t), newKey(t), newKey(t)
	add(t, l, Of(t, "01", one, "one", ""), Of(t, "02", two, "", "two.example"))
	add(t, l, Of(t, "03", one, "one", "one.example")) // again, with more names
	add(t, l, Of(t, "04", two, "", "two.example"))
	for name, e := range map[string]ledger.Entry{
		"another subject":         Of(t, "05", one, "two", ""),
		"no subject":              Of(t, "06", one, "", "one.example"),
		"another name":            Of(t, "07", two, "", "three.example"),
		"a subject it had not":    Of(t, "08", two, "two", "two.example"),
		"a key that is to be new": Fresh(Of(t, "09", one, "one", "")),
	} {
		for _, l := range []ledger.Ledger{l, open()} {
			if err := l.Append(t.Context(), Issued("0A"), e); !ledger.Conflict(err) || !ledger.KeyConflict(err) {
				t.Errorf("%s: %v, want a conflict about the key", name, err)
			}
		}
	}
	if err := l.Append(t.Context(), Of(t, "10", three, "one", ""), Of(t, "11", three, "two", "")); err == nil {
		t.Error("two have one key in one call")
	}
	add(t, l, Fresh(Of(t, "12", three, "three", "")))

	// What was lost is nobody's any more; what was given up is its holder's.
	lost, given := Revoked("03"), Revoked("12")
	given.Reason = "superseded"
	add(t, l, lost, given)
	for _, l := range []ledger.Ledger{l, open()} {
		if err := l.Append(t.Context(), Of(t, "13", one, "one", "")); !ledger.KeyConflict(err) {
			t.Errorf("a key that somebody else has: %v", err)
		}
	}
	add(t, l, Of(t, "14", three, "three", ""))
	if n := len(all(t, l)); n != 6 {
		t.Errorf("%d certificates, want 6", n)
	}

	// Of many who have one key, one is certified, wherever they ask.
	shared := newKey(t)
	var wg sync.WaitGroup
	outcomes := make([]error, 8)
	for n := range outcomes {
		l, e := open(), Of(t, string([]byte{'A' + byte(n%6), '0' + byte(n)}), shared, string(rune('a'+n)), "")
		wg.Go(func() { outcomes[n] = l.Append(t.Context(), e) })
	}
	wg.Wait()
	won := 0
	for _, err := range outcomes {
		if err == nil {
			won++
		} else if !ledger.KeyConflict(err) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d were certified for one key", won)
	}
}
