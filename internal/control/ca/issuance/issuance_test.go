package issuance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/issuance/lint"
)

var now = time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func name(t testing.TB, cn string) []byte {
	t.Helper()
	der, err := asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func generate(t testing.TB, kind KeyType) crypto.Signer {
	t.Helper()
	key, err := kind.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// founded makes an issuer of the profile below parent; nil makes a root.
func founded(t testing.TB, parent *Issuer, p Profile, lifetime time.Duration) *Issuer {
	t.Helper()
	key := generate(t, ECDSAP256)
	if parent == nil {
		var err error
		if parent, err = New(Config{Key: key, Now: clock}); err != nil {
			t.Fatal(err)
		}
	}
	certificate := issue(t, parent, Request{Profile: p, Subject: name(t, "Test "+string(p)), PublicKey: key.Public(), Lifetime: lifetime})
	i, err := New(Config{Certificate: certificate, Key: key, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func issue(t testing.TB, i *Issuer, r Request) *x509.Certificate {
	t.Helper()
	checked, err := i.Prepare(r)
	if err != nil {
		t.Fatal(err)
	}
	c, err := i.Issue(checked)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(t testing.TB) *Issuer {
	return founded(t, founded(t, nil, Root, 1000*time.Hour), Issuing, 500*time.Hour)
}

func TestWhatIsIssued(t *testing.T) {
	i := authority(t)
	uri, _ := url.Parse("spiffe://example.com/device/7")
	for _, tc := range []struct {
		profile Profile
		names   altname.Names
		usage   x509.ExtKeyUsage
	}{
		{Device, altname.Names{}, x509.ExtKeyUsageClientAuth},
		{Client, altname.Names{URIs: []*url.URL{uri}, Emails: []string{"ops@example.com"}}, x509.ExtKeyUsageClientAuth},
		{Server, altname.Names{DNS: []string{"*.example.com", "localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}}, x509.ExtKeyUsageServerAuth},
	} {
		for _, kind := range []KeyType{ECDSAP256, ECDSAP384, RSA2048} {
			t.Run(string(tc.profile)+" "+string(kind), func(t *testing.T) {
				key := generate(t, kind)
				subject := name(t, "MacID-AA:BB:CC:DD:EE:FF")
				c := issue(t, i, Request{Profile: tc.profile, Subject: subject, Names: tc.names, PublicKey: key.Public(), Lifetime: time.Hour})
				if !bytes.Equal(c.RawSubject, subject) {
					t.Errorf("subject %x, want %x byte for byte", c.RawSubject, subject)
				}
				if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != tc.usage {
					t.Errorf("CA %t, key usage %b, extended %v", c.IsCA, c.KeyUsage, c.ExtKeyUsage)
				}
				if want := now.Add(-backdate); !c.NotBefore.Equal(want) {
					t.Errorf("begins %s, want %s", c.NotBefore, want)
				}
				if want := now.Add(time.Hour); !c.NotAfter.Equal(want) {
					t.Errorf("ends %s, want %s", c.NotAfter, want)
				}
				if err := c.CheckSignatureFrom(i.certificate); err != nil {
					t.Error(err)
				}
				if got := len(c.DNSNames) + len(c.URIs) + len(c.EmailAddresses) + len(c.IPAddresses); got != tc.names.Len() {
					t.Errorf("%d alternative names, want %d", got, tc.names.Len())
				}
			})
		}
	}
}

func TestAuthoritiesAreConstrained(t *testing.T) {
	root := founded(t, nil, Root, 1000*time.Hour)
	issuing := founded(t, root, Issuing, 500*time.Hour)
	if c := root.certificate; !c.IsCA || c.MaxPathLen != 1 || c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign {
		t.Errorf("root: CA %t, path length %d, key usage %b", c.IsCA, c.MaxPathLen, c.KeyUsage)
	}
	if c := issuing.certificate; !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero || !bytes.Equal(c.AuthorityKeyId, root.certificate.SubjectKeyId) {
		t.Errorf("issuing: CA %t, path length %d, authority key id %x", c.IsCA, c.MaxPathLen, c.AuthorityKeyId)
	}
}

func TestAnEmptySubjectMakesTheNamesCritical(t *testing.T) {
	c := issue(t, authority(t), Request{Profile: Server, Names: altname.Names{DNS: []string{"a.example"}},
		PublicKey: generate(t, ECDSAP256).Public(), Lifetime: time.Hour})
	for _, e := range c.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) && !e.Critical {
			t.Error("the alternative names are not critical (RFC 5280 section 4.2.1.6)")
		}
	}
}

func TestALifetimeEndsWithTheIssuer(t *testing.T) {
	i := authority(t)
	checked, err := i.Prepare(Request{Profile: Client, Subject: name(t, "x"), PublicKey: generate(t, "").Public(), Lifetime: 501 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	c, err := i.Issue(checked)
	if err != nil {
		t.Fatal(err)
	}
	if !checked.Shortened || !c.NotAfter.Equal(i.certificate.NotAfter) {
		t.Errorf("shortened %t, ends %s; the issuer ends %s", checked.Shortened, c.NotAfter, i.certificate.NotAfter)
	}
}

func TestSerialNumbers(t *testing.T) {
	i := authority(t)
	for _, tc := range []struct {
		drawn string
		ok    bool
	}{
		{strings.Repeat("\xff", 16), true}, // the high bit: a zero octet goes in front
		{"\x80" + strings.Repeat("\x00", 15), true},
		{"\x00" + strings.Repeat("\x01", 15), true},
		{strings.Repeat("\x00", 16), false},
		{strings.Repeat("\x00", 12) + "abcd", false},
		{"short", false},
	} {
		i.rand = strings.NewReader(tc.drawn)
		checked, err := i.Prepare(Request{Profile: Client, Subject: name(t, "x"), PublicKey: generate(t, "").Public(), Lifetime: time.Hour})
		if (err == nil) != tc.ok {
			t.Errorf("%x: %v, want accepted: %t", tc.drawn, err, tc.ok)
			continue
		}
		if err != nil {
			continue
		}
		c, err := i.Issue(checked)
		if err != nil {
			t.Fatal(err)
		}
		if want := new(big.Int).SetBytes([]byte(tc.drawn)); c.SerialNumber.Cmp(want) != 0 {
			t.Errorf("serial %X, drawn %X", c.SerialNumber, want)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	i := authority(t)
	public := generate(t, ECDSAP256).Public()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	three := *generate(t, RSA2048).Public().(*rsa.PublicKey)
	three.E = 3
	both, err := asn1.Marshal(pkix.RDNSequence{{{Type: oidCommonName, Value: "a"}}, {{Type: oidCommonName, Value: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	number, err := asn1.Marshal(pkix.RDNSequence{{{Type: oidCommonName, Value: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	country, err := asn1.Marshal(pkix.RDNSequence{{{Type: oidCountry, Value: "Neverland"}}})
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, altname.MaxNames+1)
	for n := range many {
		many[n] = "a.example"
	}
	uri := func(s string) altname.Names { u, _ := url.Parse(s); return altname.Names{URIs: []*url.URL{u}} }
	for _, tc := range []struct {
		name string
		r    Request
		want string
	}{
		{"no lifetime", Request{Lifetime: -1}, "lifetime is -1ns"},
		{"a root", Request{Profile: Root}, "a root signs itself"},
		{"weak RSA", Request{PublicKey: weak.Public()}, "RSA with 1024 bits"},
		{"exponent 3", Request{PublicKey: &three}, "public exponent 3"},
		{"P-224", Request{PublicKey: p224.Public()}, "ECDSA P-224"},
		{"no key", Request{PublicKey: 7}, "the key is int"},
		{"nobody", Request{Profile: Client, Subject: []byte{}}, "would name nobody"},
		{"a device without a name", Request{Subject: []byte(emptyName), Names: altname.Names{DNS: []string{"a"}}}, "needs a common name"},
		{"a server without a host", Request{Profile: Server}, "add --san dns:NAME"},
		{"two common names", Request{Subject: both}, "2 common names"},
		{"a NUL", Request{Subject: name(t, "admin\x00.example")}, "do not print"},
		{"a line feed", Request{Subject: name(t, "a\nb")}, "do not print"},
		{"right to left", Request{Subject: name(t, "a\u202eb")}, "do not print"},
		{"a number for a name", Request{Subject: number}, "not a string"},
		{"a long country", Request{Subject: country}, `2.5.4.6 is "Neverland"`},
		{"a long name", Request{Subject: name(t, strings.Repeat("ä", 65))}, "65 characters"},
		{"a huge name", Request{Subject: name(t, strings.Repeat("x", 2000))}, "expected at most 1024"},
		{"a name that is none", Request{Subject: []byte("hello")}, "not a distinguished name"},
		{"the authority's name", Request{Subject: i.certificate.RawSubject}, "authority's own name"},
		{"the authority's key", Request{PublicKey: i.key.Public()}, "the key is the authority's own"},
		{"too many names", Request{Names: altname.Names{DNS: many}}, "101 alternative names"},
		{"a client's wildcard", Request{Names: altname.Names{DNS: []string{"*.example.com"}}}, "a wildcard is for servers"},
		{"a wide wildcard", Request{Profile: Server, Names: altname.Names{DNS: []string{"*.com"}}}, "at least two labels"},
		{"a wildcard inside", Request{Profile: Server, Names: altname.Names{DNS: []string{"a.*.com"}}}, `character '*'`},
		{"an empty label", Request{Names: altname.Names{DNS: []string{"a..b"}}}, "single dots"},
		{"a dot at the end", Request{Names: altname.Names{DNS: []string{"a.b."}}}, "no dot at the end"},
		{"a hyphen in front", Request{Names: altname.Names{DNS: []string{"-a"}}}, "hyphen"},
		{"a space", Request{Names: altname.Names{DNS: []string{"a b"}}}, "character ' '"},
		{"an address as a host", Request{Names: altname.Names{DNS: []string{"10.0.0.1"}}}, "write ip:10.0.0.1"},
		{"a host as a URI", Request{Names: uri("example.com")}, "absolute URI"},
		{"a password", Request{Names: uri("https://a:b@example.com")}, "user name"},
		{"an address with a name", Request{Names: altname.Names{Emails: []string{"Ops <ops@example.com>"}}}, "plain address"},
		{"no address", Request{Names: altname.Names{Emails: []string{"ops"}}}, "plain address"},
		{"half an address", Request{Names: altname.Names{IPs: []net.IP{{1, 2}}}}, "address of one host"},
		{"any address", Request{Names: altname.Names{IPs: []net.IP{net.IPv4zero}}}, "address of one host"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := tc.r
			if r.Profile == "" {
				r.Profile = Device
			}
			if r.Subject == nil {
				r.Subject = name(t, "x")
			}
			if r.PublicKey == nil {
				r.PublicKey = public
			}
			if r.Lifetime == 0 {
				r.Lifetime = time.Hour
			}
			c, err := i.Prepare(r)
			if err == nil || c != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestAnExpiredAuthoritySignsNothing(t *testing.T) {
	i := authority(t)
	i.now = func() time.Time { return i.certificate.NotAfter }
	_, err := i.Prepare(Request{Profile: Client, Subject: name(t, "x"), PublicKey: generate(t, "").Public(), Lifetime: time.Hour})
	if err == nil || !strings.Contains(err.Error(), "expired on") {
		t.Errorf("error %v, want that the authority expired", err)
	}
}

func TestOnlyWhatWasCheckedIsSignedAndOnlyOnce(t *testing.T) {
	i, other := authority(t), authority(t)
	checked, err := i.Prepare(Request{Profile: Client, Subject: name(t, "x"), PublicKey: generate(t, "").Public(), Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Checked{"nil": nil, "the zero value": {}} {
		if _, err := i.Issue(c); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	if _, err := other.Issue(checked); err == nil {
		t.Error("another issuer signed it")
	}
	if _, err := i.Issue(checked); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Issue(checked); err == nil {
		t.Error("it was signed twice, with one serial number")
	}
}

func TestNewRefuses(t *testing.T) {
	i := authority(t)
	leafKey := generate(t, "")
	leaf := issue(t, i, Request{Profile: Client, Subject: name(t, "x"), PublicKey: leafKey.Public(), Lifetime: time.Hour})
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		c    Config
		want string
	}{
		{"no key", Config{Certificate: i.certificate}, "needs its private key"},
		{"another's key", Config{Certificate: i.certificate, Key: leafKey}, "does not belong"},
		{"a leaf", Config{Certificate: leaf, Key: leafKey}, "not one of an authority"},
		{"Ed25519", Config{Key: edKey}, "expected RSA or ECDSA"},
	} {
		if _, err := New(tc.c); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}

// The lint looks at what comes out of the encoder, not at what went in: each
// of these certificates, properly encoded, has something the profile has not.
func TestLint(t *testing.T) {
	i := authority(t)
	key := generate(t, "")
	r := Request{Profile: Client, Subject: name(t, "x"), PublicKey: key.Public(), Lifetime: time.Hour}
	good := func() *x509.Certificate {
		template, err := i.template(r)
		if err != nil {
			t.Fatal(err)
		}
		return template
	}
	for _, tc := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		{"nothing", func(*x509.Certificate) {}, ""},
		{"an authority", func(c *x509.Certificate) { c.IsCA = true }, "basic constraints"},
		{"no basic constraints", func(c *x509.Certificate) { c.BasicConstraintsValid = false }, "2.5.29.19"},
		{"signing certificates", func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, "key usage"},
		{"no key usage", func(c *x509.Certificate) { c.KeyUsage = 0 }, "2.5.29.15"},
		{"any purpose", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageAny) }, "extended key usage"},
		{"a strange purpose", func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3}} }, "extended key usage"},
		{"another key's id", func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} }, "subject key identifier"},
		{"a surplus extension", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		}, "it has 6 extensions"},
		{"backdated for hours", func(c *x509.Certificate) { c.NotBefore = now.Add(-2 * time.Hour) }, "within the hour"},
		{"not yet valid", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }, "within the hour"},
		{"ends first", func(c *x509.Certificate) { c.NotAfter = c.NotBefore }, "before it begins"},
		{"outlives its issuer", func(c *x509.Certificate) { c.NotAfter = i.certificate.NotAfter.Add(time.Second) }, "within the authority's"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &Checked{issuer: i, template: good(), parent: i.certificate, public: key.Public()}
			tc.change(c.template)
			encoded, err := c.rehearse()
			if err != nil {
				t.Fatal(err)
			}
			faults := lint.Check(i.expect(encoded, r))
			if tc.want == "" {
				if len(faults) > 0 {
					t.Errorf("faults in a good certificate: %v", faults)
				}
				return
			}
			for _, fault := range faults {
				if strings.Contains(fault.Error(), tc.want) {
					return
				}
			}
			t.Errorf("faults %v, want %q", faults, tc.want)
		})
	}
}

func TestWords(t *testing.T) {
	for _, kind := range KeyTypes() {
		if got, err := ParseKeyType(string(kind)); err != nil || got != kind {
			t.Errorf("%s: %s, %v", kind, got, err)
		}
	}
	if _, err := ParseKeyType("dsa"); err == nil || !strings.Contains(err.Error(), "ecdsa-p256, ecdsa-p384, rsa-2048") {
		t.Errorf("dsa: %v, want the list of key types", err)
	}
	if _, err := KeyType("dsa").Generate(); err == nil {
		t.Error("a dsa key was generated")
	}
	for _, s := range []string{"", "root", "issuing", "Device"} {
		if p, err := ParseProfile(s); err == nil {
			t.Errorf("%q is the profile %q", s, p)
		}
	}
	if p, err := ParseProfile("server"); err != nil || p != Server {
		t.Errorf("server: %s, %v", p, err)
	}
}
