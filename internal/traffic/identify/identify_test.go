package identify_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"strings"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// unverified returns the chain of a client that passes through.
func unverified(t testing.TB, c *testpki.Certificate) verify.Chain {
	t.Helper()
	chain, denial := verify.Unverified(c.Chain())
	if denial != nil {
		t.Fatal(denial)
	}
	return chain
}

func TestFromDescribesTheLeaf(t *testing.T) {
	root := testpki.NewRoot(t, "Fleet Root")
	mid := root.Intermediate("Fleet, Issuing CA")
	leaf := mid.Client("MacID-AA:BB:CC:DD:EE:FF", testpki.Serial("3a5b1"), testpki.OU("ops", "Zoë"),
		testpki.DNS("a.example", "b.example"), testpki.URI("spiffe://ops/a"), testpki.Email("a@example.com"), testpki.IP("192.0.2.1", "2001:db8::1"))
	want := &countersign.Identity{
		Subject:             `CN=MacID-AA:BB:CC:DD:EE:FF,OU=Zo\C3\AB+OU=ops`,
		Issuer:              `CN=Fleet\, Issuing CA`,
		Serial:              "03A5B1",
		Fingerprint:         sha256.Sum256(leaf.X509.Raw),
		NotBefore:           leaf.X509.NotBefore,
		NotAfter:            leaf.X509.NotAfter,
		CommonNames:         []string{"MacID-AA:BB:CC:DD:EE:FF"},
		OrganizationalUnits: []string{"ops", "Zoë"},
		DNSNames:            []string{"a.example", "b.example"},
		URIs:                []string{"spiffe://ops/a"},
		Emails:              []string{"a@example.com"},
		IPs:                 []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
	}
	store, err := verify.New(verify.Config{Name: "fleet", Anchors: []*x509.Certificate{root.X509}})
	if err != nil {
		t.Fatal(err)
	}
	verified, denial := store.Verify(leaf.Chain(), verify.Options{})
	if denial != nil {
		t.Fatal(denial)
	}
	for name, tt := range map[string]struct {
		chain    verify.Chain
		verified bool
	}{"verified": {verified, true}, "passed through": {unverified(t, leaf), false}} {
		t.Run(name, func(t *testing.T) {
			c, denial := identify.From(tt.chain)
			if denial != nil {
				t.Fatal(denial)
			}
			if diff := cmp.Diff(want, c.Identity(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
			if !c.Known() || c.Anonymous() || c.Verified() != tt.verified || c.Chain().Leaf() != leaf.X509 {
				t.Errorf("known %t, anonymous %t, verified %t", c.Known(), c.Anonymous(), c.Verified())
			}
		})
	}
}

func TestPresented(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	if id := identify.Presented(root.Client("device").X509); id == nil || id.Subject != "CN=device" {
		t.Errorf("got %+v", id)
	}
	if id := identify.Presented(root.Client("x", subject("admin\x00", "")).X509); id != nil {
		t.Errorf("got %+v of a certificate that From refuses", id)
	}
}

func TestAnonymousIsNotNobody(t *testing.T) {
	a := identify.Anonymous()
	if !a.Known() || !a.Anonymous() || a.Verified() || a.Identity() != nil || !a.Chain().IsZero() {
		t.Errorf("Anonymous() is %+v", a)
	}
	var zero identify.Client
	if zero.Known() || zero.Anonymous() || zero.Verified() || zero.Identity() != nil {
		t.Error("the zero Client is taken for somebody")
	}
	c, denial := identify.From(verify.Chain{})
	if denial == nil || denial.Code != countersign.CredentialNotProven || denial.Stage != countersign.StageIdentify || c.Known() {
		t.Errorf("the zero Chain gave %+v, %v", c, denial)
	}
}

// peers T26, 3.D: NUL in a common name (haproxy 449133cba), in an alternative
// name (CVE-2025-66220); one type of alternative name taken for another
// (CVE-2022-21656).
func TestFromRefuses(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	san := func(names ...asn1.RawValue) testpki.Option {
		der, err := asn1.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		return testpki.Extension(false, der, 2, 5, 29, 17)
	}
	name := func(tag int, s string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(s)}
	}
	for label, tt := range map[string]struct {
		opt  testpki.Option
		want string
	}{
		"NUL in CN":         {subject("admin\x00.attacker", ""), `CN "admin\x00.attacker" contains a NUL`},
		"NUL in OU":         {subject("a", "ops\x00x"), "OU"},
		"NUL in DNS name":   {san(name(2, "admin\x00.attacker")), `DNS name "admin\x00.attacker" contains byte 0x00`},
		"line feed in DNS":  {san(name(2, "a\nX-Evil: 1")), "byte 0x0a"},
		"quote in DNS":      {san(name(2, `a";Subject="CN=admin`)), "byte 0x22"},
		"quote in URI":      {san(name(6, `spiffe://a/b";Hash="x`)), "byte 0x22"},
		"NUL in e-mail":     {san(name(1, "a\x00@b")), "e-mail address"},
		"control in e-mail": {san(name(1, "a\x7f@b")), "byte 0x7f"},
	} {
		t.Run(label, func(t *testing.T) {
			c, denial := identify.From(unverified(t, root.Client("x", tt.opt)))
			if denial == nil || denial.Code != countersign.ClientCertInvalid || denial.Stage != countersign.StageIdentify {
				t.Fatalf("got %+v, %v, want ClientCertInvalid", c.Identity(), denial)
			}
			if !strings.Contains(denial.Reason, tt.want) || strings.ContainsAny(denial.Reason, "\x00\n") {
				t.Errorf("reason %q, want %q in it and no control", denial.Reason, tt.want)
			}
			if c.Known() {
				t.Error("a Client beside the denial")
			}
		})
	}
	t.Run("other kinds name nobody", func(t *testing.T) {
		other := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 8, Bytes: []byte{0x55, 4, 3}} // registeredID
		c, denial := identify.From(unverified(t, root.Client("x", san(other, name(2, "MacID-AA device")))))
		if denial != nil {
			t.Fatal(denial)
		}
		id := c.Identity()
		if len(id.URIs)+len(id.Emails)+len(id.IPs) != 0 || len(id.DNSNames) != 1 || id.DNSNames[0] != "MacID-AA device" {
			t.Errorf("got %+v", id)
		}
	})
}

// subject makes a name of a common name and, unless empty, a unit, as
// UTF8Strings with whatever they hold.
func subject(cn, ou string) testpki.Option {
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	type rdnSET []attribute // encoding/asn1 encodes a type named ...SET as a SET
	name := []rdnSET{{{asn1.ObjectIdentifier{2, 5, 4, 3}, cn}}}
	if ou != "" {
		name = append(name, rdnSET{{asn1.ObjectIdentifier{2, 5, 4, 11}, ou}})
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		panic(err)
	}
	return testpki.RawSubject(der)
}
