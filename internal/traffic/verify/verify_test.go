package verify_test

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// store makes a trust store of anchors.
func store(t testing.TB, cfg verify.Config, anchors ...*testpki.Certificate) *verify.Store {
	t.Helper()
	for _, a := range anchors {
		cfg.Anchors = append(cfg.Anchors, a.X509)
	}
	if cfg.Name == "" {
		cfg.Name = "fleet"
	}
	s, err := verify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lists(t testing.TB, ders ...[]byte) []*crl.List {
	t.Helper()
	var all []*crl.List
	for _, der := range ders {
		l, err := crl.Parse("test.crl", der)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l...)
	}
	return all
}

// Every case names the code (none: accepted) and words that its reason must have.
func TestVerify(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	other := testpki.NewRoot(t, "Other")
	twin := testpki.NewRoot(t, "Root") // the same name, another key
	expiredMid := root.Intermediate("Old Issuing", testpki.Expired())
	serverMid := root.Intermediate("Server CA", testpki.EKU(x509.ExtKeyUsageServerAuth))
	deep := mid.Intermediate("Deep").Intermediate("Deeper")
	leaf := mid.Client("device")
	odd := []byte{5, 0}

	type test struct {
		name      string
		cfg       verify.Config
		anchors   []*testpki.Certificate // nil: root
		presented []*x509.Certificate
		options   verify.Options
		code      countersign.Code
		words     []string
	}
	chain := func(c *testpki.Certificate) []*x509.Certificate { return c.Chain() }
	with := func(c *testpki.Certificate, more ...*testpki.Certificate) []*x509.Certificate {
		all := c.Chain()
		for _, m := range more {
			all = append(all, m.X509)
		}
		return all
	}
	tests := []test{
		{name: "leaf below root", presented: chain(root.Client("device"))},
		{name: "leaf below intermediate", presented: chain(leaf)},
		{name: "root sent too", presented: with(leaf, root)},
		{name: "intermediate as anchor", anchors: []*testpki.Certificate{mid}, presented: leaf.Chain()[:1]},
		{name: "intermediate as anchor, root sent", anchors: []*testpki.Certificate{mid}, presented: with(leaf, root)},
		{name: "unrelated certificates sent too", presented: with(leaf, other, other.Intermediate("x"))},
		{name: "issuers in the wrong order", options: verify.Options{MaxChainDepth: 5}, presented: []*x509.Certificate{
			deep.Client("d").X509, mid.X509, deep.X509, deep.Issuer.X509}},
		{name: "two CAs of one name", anchors: []*testpki.Certificate{twin, root}, presented: chain(leaf)},

		{name: "nothing", presented: nil, code: countersign.ClientCertMissing},
		{name: "unknown CA", presented: chain(other.Client("device")), code: countersign.ClientCertUntrusted,
			words: []string{`"CN=device"`, `issued by "CN=Other"`, "neither among the 1 CAs", "fleet"}},
		{name: "self-signed", presented: chain(testpki.NewSelfSigned(t, "me")), code: countersign.ClientCertUntrusted, words: []string{"is self-signed"}},
		{name: "intermediate not sent", presented: leaf.Chain()[:1], code: countersign.ClientCertUntrusted, words: []string{"send its intermediates"}},
		{name: "CA of the same name, another key", presented: chain(twin.Client("device")), code: countersign.ClientCertUntrusted, words: []string{"another CA with the same name"}},
		{name: "trusted certificate after the leaf", presented: with(testpki.NewSelfSigned(t, "thief"), leaf), code: countersign.ClientCertUntrusted, words: []string{`"CN=thief"`}},
		{name: "leaf as issuer", presented: with(forged(t, leaf), leaf, mid), code: countersign.ClientCertUntrusted, words: []string{"is no CA certificate"}},
		{name: "issuer may not sign certificates", presented: chain(root.Intermediate("CRL signer", testpki.KeyUsage(x509.KeyUsageCRLSign)).Client("d")),
			code: countersign.ClientCertUntrusted, words: []string{"does not let it sign certificates"}},
		{name: "path length", presented: chain(root.Intermediate("Short", testpki.MaxPathLen(0)).Intermediate("Below").Client("d")),
			code: countersign.ClientCertUntrusted, words: []string{"allows 0 intermediate CAs below it"}},
		{name: "name constraints", presented: chain(root.Intermediate("Narrow", testpki.PermittedDNS("fleet.example")).Client("d", testpki.DNS("evil.example"))),
			code: countersign.ClientCertUntrusted, words: []string{"name constraints"}},
		{name: "name constraints and a name of 60,000 bytes", presented: chain(root.Intermediate("Narrow", testpki.PermittedDNS("fleet.example")).Client("d", testpki.DNS(strings.Repeat("a", 60000)))),
			code: countersign.ClientCertUntrusted, words: []string{"name constraints"}},
		{name: "name constraints kept", presented: chain(root.Intermediate("Narrow", testpki.PermittedDNS("fleet.example")).Client("d", testpki.DNS("a.fleet.example")))},

		{name: "expired leaf", presented: chain(mid.Client("device", testpki.Expired())), code: countersign.ClientCertExpired, words: []string{"the leaf", `"CN=device"`, "renewed"}},
		{name: "expired intermediate", presented: chain(expiredMid.Client("device")), code: countersign.ClientCertExpired, words: []string{"an intermediate CA", "Old Issuing"}},
		{name: "expired anchor", anchors: []*testpki.Certificate{expiredMid}, presented: expiredMid.Client("device").Chain()[:1],
			code: countersign.ClientCertExpired, words: []string{"the CA in the trust store"}},
		{name: "leaf not yet valid", presented: chain(mid.Client("device", testpki.NotYetValid())), code: countersign.ClientCertNotYetValid, words: []string{"the leaf", "clocks"}},
		{name: "intermediate not yet valid", presented: chain(root.Intermediate("New", testpki.NotYetValid()).Client("device")), code: countersign.ClientCertNotYetValid, words: []string{"an intermediate CA"}},
		{name: "expired leaf ignored", options: verify.Options{IgnoreExpiry: true}, presented: chain(mid.Client("device", testpki.Expired()))},
		{name: "expired leaf of a newer intermediate ignored", options: verify.Options{IgnoreExpiry: true},
			presented: chain(mid.Client("device", testpki.Valid(time.Now().AddDate(-3, 0, 0), time.Now().AddDate(-2, 0, 0))))},
		{name: "expired intermediate ignored", options: verify.Options{IgnoreExpiry: true}, presented: chain(expiredMid.Client("device"))},
		{name: "not yet valid is never ignored", options: verify.Options{IgnoreExpiry: true}, presented: chain(mid.Client("device", testpki.NotYetValid())), code: countersign.ClientCertNotYetValid},

		{name: "four deep", presented: chain(mid.Intermediate("Deep").Client("d"))},
		{name: "five deep", presented: chain(deep.Client("d")), code: countersign.ClientCertMaxChainDepthExceeded, words: []string{"5 certificates", "max_chain_depth is 4"}},
		{name: "two allowed", options: verify.Options{MaxChainDepth: 2}, presented: chain(leaf), code: countersign.ClientCertMaxChainDepthExceeded},
		{name: "eleven presented", presented: with(leaf, other, other, other, other, other, other, other, other, other), code: countersign.ClientCertMaxChainDepthExceeded, words: []string{"presented 11"}},
		{name: "too large", presented: chain(root.Client("d", testpki.Extension(false, make([]byte, 64<<10), 1, 3, 6, 1, 4, 1, 99999, 2))),
			code: countersign.ClientCertMaxSizeExceeded, words: []string{"want at most 65536"}},
		{name: "too many names", presented: chain(root.Client("d", testpki.DNS(many(1001)...))), code: countersign.ClientCertInvalid, words: []string{"1001 subject alternative names"}},

		{name: "no EKU", presented: chain(root.Client("d", testpki.EKU()))},
		{name: "client and server EKU", presented: chain(root.Client("d", testpki.EKU(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)))},
		{name: "server EKU", presented: chain(root.Server("localhost")), code: countersign.ClientCertPurposeInvalid, words: []string{"clientAuth"}},
		{name: "e-mail EKU", presented: chain(root.Client("d", testpki.EKU(x509.ExtKeyUsageEmailProtection))), code: countersign.ClientCertPurposeInvalid},
		{name: "any EKU on the leaf", presented: chain(root.Client("d", testpki.EKU(x509.ExtKeyUsageAny))), code: countersign.ClientCertPurposeInvalid},
		{name: "unknown EKU alone", presented: chain(root.Client("d", testpki.EKU(), testpki.UnknownEKU(1, 2, 3))), code: countersign.ClientCertPurposeInvalid},
		{name: "empty EKU", presented: chain(root.Client("d", testpki.EKU(), testpki.Extension(false, []byte{0x30, 0}, 2, 5, 29, 37))), code: countersign.ClientCertPurposeInvalid},
		{name: "intermediate with server EKU", presented: chain(serverMid.Client("d")), code: countersign.ClientCertPurposeInvalid, words: []string{"Server CA"}},
		{name: "intermediate with any EKU", presented: chain(root.Intermediate("Any", testpki.EKU(x509.ExtKeyUsageAny)).Client("d"))},
		{name: "anchor with server EKU", anchors: []*testpki.Certificate{serverMid}, presented: serverMid.Client("d").Chain()[:1]},
		{name: "key encipherment only", presented: chain(root.Client("d", testpki.KeyUsage(x509.KeyUsageKeyEncipherment))), code: countersign.ClientCertPurposeInvalid, words: []string{"key usage"}},
		{name: "certificate signing only", presented: chain(root.Client("d", testpki.KeyUsage(x509.KeyUsageCertSign))), code: countersign.ClientCertPurposeInvalid},
		{name: "key agreement", presented: chain(root.Client("d", testpki.KeyUsage(x509.KeyUsageKeyAgreement)))},
		{name: "no key usage", presented: chain(root.Client("d", testpki.KeyUsage(0)))},
		{name: "CA as leaf", presented: chain(mid), code: countersign.ClientCertPurposeInvalid, words: []string{"is a CA certificate"}},
		{name: "anchor as leaf", presented: []*x509.Certificate{root.X509}, code: countersign.ClientCertPurposeInvalid},

		{name: "version 1", presented: chain(root.Client("d", testpki.Version1())), code: countersign.ClientCertTypeUnsupported, words: []string{"version 1"}},
		{name: "SHA-1", presented: chain(root.Client("d", testpki.SHA1(root))), code: countersign.ClientCertTypeUnsupported, words: []string{"SHA1", "forged"}},
		{name: "SHA-1 intermediate", presented: chain(root.Intermediate("Weak", testpki.SHA1(root)).Client("d")), code: countersign.ClientCertTypeUnsupported, words: []string{"CN=Weak"}},
		{name: "unknown signature", presented: chain(root.Client("d", testpki.UnknownSignatureAlgorithm())), code: countersign.ClientCertTypeUnsupported},
		{name: "unknown key", presented: chain(root.Client("d", testpki.EditTBS(func(tbs []byte) []byte {
			return bytes.Replace(tbs, []byte("\x2a\x86\x48\xce\x3d\x02\x01"), []byte("\x2a\x86\x48\xce\x3d\x02\x7b"), 1)
		}))), code: countersign.ClientCertTypeUnsupported, words: []string{"key is of a type"}},
		{name: "Ed25519", presented: chain(root.Client("d", testpki.Key(testpki.Ed25519))), code: countersign.ClientCertTypeUnsupported, words: []string{"keys.ed25519"}},
		{name: "Ed25519 allowed", cfg: verify.Config{Keys: verify.KeyRules{Ed25519: true}}, presented: chain(root.Client("d", testpki.Key(testpki.Ed25519)))},
		{name: "P-224", presented: chain(root.Client("d", testpki.Key(testpki.P224))), code: countersign.ClientCertTypeUnsupported, words: []string{"P-224"}},
		{name: "P-384 not allowed", cfg: verify.Config{Keys: verify.KeyRules{ECDSA: []string{"P-256"}}}, presented: chain(root.Client("d", testpki.Key(testpki.P384))), code: countersign.ClientCertTypeUnsupported},
		{name: "RSA 1024", presented: chain(root.Client("d", testpki.Key(testpki.RSA1024))), code: countersign.ClientCertTypeUnsupported, words: []string{"1024 bits"}},
		{name: "RSA 2048", presented: chain(root.Client("d", testpki.Key(testpki.RSA2048)))},
		{name: "RSA 16384", presented: chain(root.Client("d", testpki.PublicKey(testpki.HugeRSA(t, 16384)))), code: countersign.ClientCertTypeUnsupported, words: []string{"16384 bits"}},
		{name: "RSA 1024 intermediate", presented: chain(root.Intermediate("Weak", testpki.Key(testpki.RSA1024)).Client("d")), code: countersign.ClientCertTypeUnsupported, words: []string{"CN=Weak"}},
		{name: "critical extension", presented: chain(root.Client("d", testpki.Extension(true, odd, 1, 2, 3, 4))), code: countersign.ClientCertInvalid, words: []string{"1.2.3.4"}},
		{name: "critical extension in intermediate", presented: chain(root.Intermediate("Odd", testpki.Extension(true, odd, 1, 2, 3, 4)).Client("d")), code: countersign.ClientCertInvalid, words: []string{"CN=Odd", "1.2.3.4"}},

		{name: "filter", cfg: verify.Config{Accept: []verify.Filter{{SubjectCN: []string{"dev*"}}}}, presented: chain(leaf)},
		{name: "no filter matches", cfg: verify.Config{Accept: []verify.Filter{{SubjectCN: []string{"ops-*"}}, {SANDNS: []string{"*"}}}}, presented: chain(leaf),
			code: countersign.ClientCertRejected, words: []string{"none of its 2 accept filters"}},

		{name: "revoked", cfg: verify.Config{Revocation: revocation.Config{Lists: lists(t, mid.CRL(testpki.Revoke(leaf), testpki.CRLNumber(17)))}}, presented: chain(leaf),
			code: countersign.ClientCertCrlHit, words: []string{"list number 17", `"CN=Issuing"`, "test.crl"}},
		{name: "another one revoked", cfg: verify.Config{Revocation: revocation.Config{Lists: lists(t, mid.CRL(testpki.Revoke(root)))}}, presented: chain(leaf)},
		{name: "no list, refused", cfg: verify.Config{Revocation: revocation.Config{Missing: revocation.Refuse}}, presented: chain(leaf),
			code: countersign.ClientCertCrlProcessingError, words: []string{"revocation.missing"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			anchors := tt.anchors
			if anchors == nil {
				anchors = []*testpki.Certificate{root}
			}
			s := store(t, tt.cfg, anchors...)
			// Twice: the second time a chain that passed is remembered.
			for range 2 {
				var last verify.Step
				tt.options.Trace = func(step verify.Step) {
					if step.Detail == "" || step.Check == "" {
						t.Errorf("step without words: %+v", step)
					}
					last = step
				}
				c, denial := s.Verify(tt.presented, tt.options)
				if tt.code == "" {
					if denial != nil {
						t.Fatalf("refused: %v", denial)
					}
					if c.IsZero() || !c.Verified() || c.Leaf() != tt.presented[0] || c.StoreName() != "fleet" || c.Generation() != s.Generation() {
						t.Fatalf("accepted, but the chain says %v %v %q", c.IsZero(), c.Leaf().Subject, c.StoreName())
					}
					if p := c.Path(); p[0] != tt.presented[0] || p[len(p)-1].NotAfter.Year() == 9999 {
						t.Fatalf("path is not of the original certificates: %v", p[len(p)-1].NotAfter)
					}
					if !last.OK {
						t.Errorf("accepted after the step %+v", last)
					}
					continue
				}
				if denial == nil {
					t.Fatalf("accepted; want %s", tt.code)
				}
				if !c.IsZero() {
					t.Error("refused, but a chain was made")
				}
				if denial.Code != tt.code || denial.Stage != countersign.StageVerify {
					t.Errorf("got %s at %s; want %s", denial, denial.Stage, tt.code)
				}
				instructive(t, tt.presented, denial)
				for _, w := range tt.words {
					if !strings.Contains(denial.Reason, w) {
						t.Errorf("reason %q lacks %q", denial.Reason, w)
					}
				}
				if last.OK || last.Detail != denial.Reason {
					t.Errorf("refused after the step %+v", last)
				}
			}
		})
	}
}

// forged is a certificate that a client signed with its own leaf's key.
func forged(t *testing.T, leaf *testpki.Certificate) *testpki.Certificate {
	t.Helper()
	f := leaf.Client("forged")
	f.Issuer = nil // Chain presents it alone
	return f
}

func many(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "a.example"
	}
	return names
}

// A leaf has two paths: through a cross certificate that has expired, and one
// that has not.
func TestAnyGoodPathIsEnough(t *testing.T) {
	oldRoot, newRoot := testpki.NewRoot(t, "Old"), testpki.NewRoot(t, "New")
	mid := newRoot.Intermediate("Issuing")
	cross := oldRoot.Intermediate("Issuing", testpki.WithKey(mid.Key), testpki.Expired())
	leaf := mid.Client("device")
	s := store(t, verify.Config{}, oldRoot, newRoot)
	for _, order := range [][]*x509.Certificate{{leaf.X509, mid.X509, cross.X509}, {leaf.X509, cross.X509, mid.X509}} {
		c, denial := s.Verify(order, verify.Options{})
		if denial != nil {
			t.Fatal(denial)
		}
		if got := c.Path()[2]; got != newRoot.X509 {
			t.Errorf("path ends in %s", got.Subject)
		}
	}
	if _, denial := s.Verify([]*x509.Certificate{leaf.X509, cross.X509}, verify.Options{}); denial == nil || denial.Code != countersign.ClientCertExpired {
		t.Errorf("through the expired certificate alone: %v", denial)
	}
}

func TestGoodUntil(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	root := testpki.NewRoot(t, "Root")
	leaf := root.Client("device", testpki.Valid(now.Add(-time.Hour), now.Add(48*time.Hour)))
	crl := lists(t, root.CRL(testpki.CRLValid(now.Add(-time.Hour), now.Add(24*time.Hour))))
	plain := store(t, verify.Config{}, root)
	for _, tt := range []struct {
		name  string
		store *verify.Store
		o     verify.Options
		want  time.Time
	}{
		{"validity", plain, verify.Options{}, now.Add(48 * time.Hour)},
		{"nothing", plain, verify.Options{IgnoreExpiry: true}, time.Time{}},
		{"list", store(t, verify.Config{Revocation: revocation.Config{Lists: crl}}, root), verify.Options{}, now.Add(24 * time.Hour)},
		{"list and grace", store(t, verify.Config{Revocation: revocation.Config{Lists: crl, Grace: time.Hour}}, root), verify.Options{IgnoreExpiry: true}, now.Add(25 * time.Hour)},
		{"stale lists count", store(t, verify.Config{Revocation: revocation.Config{Lists: crl, Stale: revocation.Accept}}, root), verify.Options{}, now.Add(48 * time.Hour)},
	} {
		c, denial := tt.store.Verify(leaf.Chain(), tt.o)
		if denial != nil {
			t.Fatalf("%s: %v", tt.name, denial)
		}
		if !c.GoodUntil().Equal(tt.want) || c.IgnoreExpiry() != tt.o.IgnoreExpiry {
			t.Errorf("%s: good until %v, want %v", tt.name, c.GoodUntil(), tt.want)
		}
		if tt.want.IsZero() {
			continue
		}
		// It holds at that instant, and no longer.
		for _, at := range []struct {
			now time.Time
			ok  bool
		}{{tt.want, true}, {tt.want.Add(time.Nanosecond), false}} {
			tt.o.Now = at.now
			if _, d := tt.store.Verify(leaf.Chain(), tt.o); (d == nil) != at.ok {
				t.Errorf("%s: at %v: %v", tt.name, at.now, d)
			}
		}
	}
}

func TestUnverified(t *testing.T) {
	leaf := testpki.NewSelfSigned(t, "anyone")
	c, denial := verify.Unverified(leaf.Chain())
	if denial != nil {
		t.Fatal(denial)
	}
	if c.IsZero() || c.Verified() || c.Path() != nil || c.Leaf() != leaf.X509 || c.StoreName() != "" || c.Generation() != [32]byte{} {
		t.Errorf("an unverified chain says that it was verified: %+v", c)
	}
	for _, bad := range [][]*x509.Certificate{nil, {nil}, {{}}} {
		if c, denial := verify.Unverified(bad); denial == nil || !c.IsZero() {
			t.Errorf("%v passed", bad)
		}
	}
}

func TestZeroChainProvesNothing(t *testing.T) {
	var c verify.Chain
	if !c.IsZero() || c.Verified() || c.Leaf() != nil || c.Path() != nil || c.Presented() != nil || c.StoreName() != "" || c.Generation() != [32]byte{} || !c.GoodUntil().IsZero() {
		t.Errorf("%+v", c)
	}
}
