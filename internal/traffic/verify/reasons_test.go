package verify_test

import (
	"crypto/x509"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/wire/dn"
)

// remedy is the part of a reason that says what to do.
var remedy = regexp.MustCompile(`(; |: |, or )(let|issue|give|add|raise|put|set|publish|get|check|change|spread|split|show|remove|if the client|it has to be renewed|do what|this is a fault in countersign)\b`)

// instructive holds a reason to what an operator needs: which certificate, and
// what to do; of a revocation list its issuer, number and date.
func instructive(t *testing.T, presented []*x509.Certificate, d *countersign.Denial) {
	t.Helper()
	named := len(presented) == 0
	for _, c := range presented {
		named = named || strings.Contains(d.Reason, describe.Subject(c)) && strings.Contains(d.Reason, dn.Serial(c.SerialNumber))
	}
	if !named {
		t.Errorf("%s: the reason names no certificate that was presented: %s", d.Code, d.Reason)
	}
	if !remedy.MatchString(d.Reason) {
		t.Errorf("%s: the reason does not say what to do: %s", d.Code, d.Reason)
	}
	if of, after, list := strings.Cut(d.Reason, " list number "); list && !regexp.MustCompile(`^\d+ of ".*" \(.*\) .*\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).MatchString(after) {
		t.Errorf("%s: the list in %q has no issuer or date: %s", d.Code, of, after)
	}
	if len(d.Reason) > 3000 {
		t.Errorf("%s: the reason has %d bytes", d.Code, len(d.Reason))
	}
	if strings.ContainsAny(d.Reason, "\n\r\x00") {
		t.Errorf("%s: the reason is not one line: %q", d.Code, d.Reason)
	}
}

// Every code that has to do with a list, with the list in the reason.
func TestReasonsNameTheList(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	leaf := root.Client("device")
	now := time.Now().UTC().Truncate(time.Second)
	week := 7 * 24 * time.Hour
	twin := testpki.NewRoot(t, "Root")
	signer := root.Intermediate("Issuing")
	below := root.Intermediate("Issuing", testpki.WithKey(signer.Key), testpki.KeyUsage(x509.KeyUsageCertSign)).Client("device")
	for name, tt := range map[string]struct {
		leaf  *testpki.Certificate // nil: leaf
		list  []byte
		at    time.Time
		cfg   revocation.Config
		code  countersign.Code
		words []string
	}{
		"revoked": {list: root.CRL(testpki.Revoke(leaf), testpki.CRLNumber(7)), code: countersign.ClientCertCrlHit,
			words: []string{"reason", "issue it a new certificate"}},
		"stale": {list: root.CRL(testpki.CRLNumber(7), testpki.CRLValid(now.Add(-week), now.Add(week))), at: now.Add(2 * week), code: countersign.ClientCertCrlProcessingError,
			words: []string{"should have been replaced by " + describe.Date(now.Add(week)), "publish a newer list"}},
		"of another CA of the name": {leaf: signer.Client("device"), list: twin.Resign(signer.CRL(testpki.CRLNumber(7)), nil), code: countersign.ClientCertCrlProcessingError,
			words: []string{"is not signed by the issuer", "get it again from the CA"}},
		"of a CA that may sign no lists": {leaf: below, list: signer.CRL(testpki.CRLNumber(7)), code: countersign.ClientCertCrlProcessingError,
			words: []string{"cRLSign"}},
	} {
		if tt.leaf == nil {
			tt.leaf = leaf
		}
		tt.cfg.Lists = lists(t, tt.list)
		s := store(t, verify.Config{Revocation: tt.cfg}, root)
		_, d := s.Verify(tt.leaf.Chain(), verify.Options{Now: tt.at})
		if d == nil || d.Code != tt.code {
			t.Errorf("%s: %v; want %s", name, d, tt.code)
			continue
		}
		instructive(t, tt.leaf.Chain(), d)
		for _, w := range append(tt.words, "list number 7", "of "+describe.Issuer(tt.leaf.X509), "test.crl") {
			if !strings.Contains(d.Reason, w) {
				t.Errorf("%s: the reason lacks %q: %s", name, w, d.Reason)
			}
		}
	}
}
