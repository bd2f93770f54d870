package verify_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
)

func TestNewRefuses(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	weak := testpki.NewRoot(t, "Weak", testpki.Key(testpki.RSA1024))
	crl := lists(t, root.CRL())
	for name, tt := range map[string]struct {
		cfg  verify.Config
		want string
	}{
		"no anchor":       {verify.Config{}, "no CA certificate"},
		"leaf as anchor":  {verify.Config{Anchors: []*x509.Certificate{root.Client("d").X509}}, "is no CA certificate"},
		"anchor twice":    {verify.Config{Anchors: []*x509.Certificate{root.X509, root.X509}}, "is there twice"},
		"weak anchor":     {verify.Config{Anchors: []*x509.Certificate{weak.X509}}, "1024 bits"},
		"too many":        {verify.Config{Anchors: []*x509.Certificate{root.X509, testpki.NewRoot(t, "B").X509}, Limits: verify.Limits{CACertificates: 1}}, "want at most 1"},
		"subjects":        {verify.Config{Anchors: []*x509.Certificate{root.X509}, Limits: verify.Limits{SubjectSize: 10}}, "want at most 10"},
		"empty filter":    {verify.Config{Anchors: []*x509.Certificate{root.X509}, Accept: []verify.Filter{{}}}, "accept[0]: the filter has no condition"},
		"bad pin":         {verify.Config{Anchors: []*x509.Certificate{root.X509}, Accept: []verify.Filter{{SPKIPin: []string{"sha256/AAAA"}}}}, "32 bytes"},
		"bad fingerprint": {verify.Config{Anchors: []*x509.Certificate{root.X509}, Accept: []verify.Filter{{Fingerprint: []string{"00"}}}}, "32 bytes"},
		"curve":           {verify.Config{Anchors: []*x509.Certificate{root.X509}, Keys: verify.KeyRules{ECDSA: []string{"P-224"}}}, "P-224"},
		"RSA range":       {verify.Config{Anchors: []*x509.Certificate{root.X509}, Keys: verify.KeyRules{RSAMin: 512}}, "RSA from 512"},
		"answer":          {verify.Config{Anchors: []*x509.Certificate{root.X509}, Revocation: revocation.Config{Missing: "perhaps"}}, "perhaps"},
		"list twice":      {verify.Config{Anchors: []*x509.Certificate{root.X509}, Revocation: revocation.Config{Lists: append(crl, crl...)}}, "is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Name = "fleet"
			s, err := verify.New(tt.cfg)
			if err == nil || s != nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `trust store "fleet"`) {
				t.Errorf("%v; want it to say %q", err, tt.want)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	hidden := root.Intermediate("Hidden")
	s := store(t, verify.Config{Revocation: revocation.Config{Lists: lists(t, hidden.CRL(),
		root.CRL(testpki.CRLValid(time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))))}}, root)
	var all []string
	for _, w := range s.Warnings() {
		if !w.Warning {
			t.Errorf("%v is no warning", w)
		}
		all = append(all, w.Error())
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{`"CN=Hidden" (test.crl) is of no CA in the trust store`, "should have been replaced"} {
		if !strings.Contains(text, want) {
			t.Errorf("warnings lack %q:\n%s", want, text)
		}
	}
}

func TestGeneration(t *testing.T) {
	a, b := testpki.NewRoot(t, "A"), testpki.NewRoot(t, "B")
	crl := lists(t, a.CRL())
	x, y := verify.Filter{SubjectCN: []string{"x"}}, verify.Filter{SubjectCN: []string{"y"}}
	same := store(t, verify.Config{Accept: []verify.Filter{x, y}}, a, b).Generation()
	if got := store(t, verify.Config{Name: "other", Accept: []verify.Filter{y, x}, Remember: 3}, b, a).Generation(); got != same {
		t.Error("equal content, another generation")
	}
	seen := map[[32]byte]string{same: "the first"}
	for name, s := range map[string]*verify.Store{
		"anchor removed": store(t, verify.Config{Accept: []verify.Filter{x, y}}, a),
		"filter removed": store(t, verify.Config{Accept: []verify.Filter{x}}, a, b),
		"filters joined": store(t, verify.Config{Accept: []verify.Filter{{SubjectCN: []string{"x", "y"}}}}, a, b),
		"another field":  store(t, verify.Config{Accept: []verify.Filter{{SubjectOU: []string{"x"}}, y}}, a, b),
		"keys":           store(t, verify.Config{Accept: []verify.Filter{x, y}, Keys: verify.KeyRules{Ed25519: true}}, a, b),
		"list":           store(t, verify.Config{Accept: []verify.Filter{x, y}, Revocation: revocation.Config{Lists: crl}}, a, b),
		"grace":          store(t, verify.Config{Accept: []verify.Filter{x, y}, Revocation: revocation.Config{Lists: crl, Grace: 1}}, a, b),
		"missing":        store(t, verify.Config{Accept: []verify.Filter{x, y}, Revocation: revocation.Config{Missing: revocation.Refuse}}, a, b),
		"scope":          store(t, verify.Config{Accept: []verify.Filter{x, y}, Revocation: revocation.Config{Scope: revocation.ScopeChain}}, a, b),
	} {
		if before, clash := seen[s.Generation()]; clash {
			t.Errorf("%s: the generation of %s", name, before)
		}
		seen[s.Generation()] = name
	}
}
