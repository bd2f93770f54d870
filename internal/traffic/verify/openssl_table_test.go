package verify_test

import (
	"bytes"
	"crypto"
	_ "crypto/md5" // for a signature that is there to be refused
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/testrequire"
	"countersign.dev/internal/traffic/verify"
)

// A comparison is a chain that is shown to OpenSSL, as nginx and HAProxy use it,
// to crypto/x509, and to us. Where we differ, docs/divergences.md has the words.
type comparison struct {
	anchors  []*testpki.Certificate
	chain    [][]byte // DER, leaf first
	ok       bool     // for OpenSSL
	x509, us bool     // differ from it
	words    string   // of docs/divergences.md, if us
	laxer    bool     // whom OpenSSL refuses, we let in
}

func TestOpenSSLAgreesOrTheManualSaysWhy(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	manual, err := os.ReadFile("../../../docs/divergences.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, tt := range comparisons(t) {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			var anchors, untrusted []byte
			for _, a := range tt.anchors {
				anchors = append(anchors, a.PEM()...)
			}
			for _, der := range tt.chain[1:] {
				untrusted = append(untrusted, encode(der)...)
			}
			args := []string{"verify", "-purpose", "sslclient", "-CAfile", testpki.WriteFile(t, base+"-ca.pem", anchors)}
			if len(untrusted) > 0 {
				args = append(args, "-untrusted", testpki.WriteFile(t, base+"-untrusted.pem", untrusted))
			}
			cmd := exec.Command(openssl, append(args, testpki.WriteFile(t, base+".pem", encode(tt.chain[0])))...)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			out, err := cmd.CombinedOutput()
			if got := err == nil; got != tt.ok {
				t.Errorf("OpenSSL says %s", out)
			}
			if err := byX509(tt); (err == nil) != (tt.ok != tt.x509) {
				t.Errorf("crypto/x509 says %v; OpenSSL says %s", err, out)
			}
			if err := byUs(tt); (err == nil) != (tt.ok != tt.us) {
				t.Errorf("we say %v; OpenSSL says %s", err, out)
			}
			if tt.us && (tt.words == "" || !bytes.Contains(manual, []byte(tt.words))) {
				t.Errorf("we differ, and docs/divergences.md does not have the words %q", tt.words)
			}
			if (tt.us && !tt.ok) != tt.laxer {
				t.Errorf("laxer than OpenSSL: %v", !tt.laxer)
			}
		})
	}
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func parseAll(ders [][]byte) (all []*x509.Certificate, err error) {
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func byX509(tt comparison) error {
	chain, err := parseAll(tt.chain)
	if err != nil {
		return err
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range tt.anchors {
		roots.AddCert(a.X509)
	}
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

func byUs(tt comparison) error {
	cfg := verify.Config{Name: "fleet"}
	for _, a := range tt.anchors {
		cfg.Anchors = append(cfg.Anchors, a.X509)
	}
	s, err := verify.New(cfg)
	if err != nil {
		return err
	}
	chain, err := parseAll(tt.chain)
	if err != nil {
		return err
	}
	if _, denial := s.Verify(chain, verify.Options{}); denial != nil {
		return denial
	}
	return nil
}

func comparisons(t *testing.T) map[string]comparison {
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	odd := testpki.Extension(true, []byte{5, 0}, 1, 2, 3, 4)
	all := func(c *testpki.Certificate) (ders [][]byte) {
		for _, one := range c.Chain() {
			ders = append(ders, one.Raw)
		}
		return ders
	}
	below := func(a *testpki.Certificate, c *testpki.Certificate) comparison {
		return comparison{anchors: []*testpki.Certificate{a}, chain: all(c)}
	}
	good := func(c comparison) comparison { c.ok = true; return c }
	x509Differs := func(c comparison) comparison { c.x509 = true; return c }
	weDiffer := func(words string, c comparison) comparison { c.us, c.words = true, words; return c }
	bothDiffer := func(words string, c comparison) comparison { return x509Differs(weDiffer(words, c)) }
	laxer := func(words string, c comparison) comparison { c = bothDiffer(words, c); c.laxer = true; return c }
	// limited is a CA below root with name constraints.
	limited := func(edit func(*x509.Certificate)) *testpki.Certificate {
		return root.Intermediate("Limited", testpki.Template(func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = true; edit(c) }))
	}
	constraints := func(critical bool, der string) *testpki.Certificate {
		return root.Intermediate("Limited", testpki.Extension(critical, []byte(der), 2, 5, 29, 30))
	}
	_, lan, _ := net.ParseCIDR("192.0.2.0/24")
	dns := limited(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"fleet.example"} })
	noDNS := limited(func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"evil.example"} })
	ip := limited(func(c *x509.Certificate) { c.PermittedIPRanges = []*net.IPNet{lan} })
	uri := limited(func(c *x509.Certificate) { c.PermittedURIDomains = []string{".fleet.example"} })
	email := limited(func(c *x509.Certificate) { c.PermittedEmailAddresses = []string{"fleet.example"} })
	mailbox := func(address string) testpki.Option {
		return testpki.Subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "d"}, {Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(address)}}}})
	}
	organization := "\x30\x15\xa0\x13\x30\x11\xa4\x0f\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x0a\x0c\x02\x4d\x65" // permitted: O=Me
	named := func(o string) testpki.Option {
		return testpki.Subject(pkix.Name{CommonName: "d", Organization: []string{o}})
	}
	narrowRoot := testpki.NewRoot(t, "Narrow Root", testpki.PermittedDNS("fleet.example"))
	shortRoot := testpki.NewRoot(t, "Short Root", testpki.MaxPathLen(0))
	short := root.Intermediate("Short", testpki.MaxPathLen(0))
	twin := testpki.NewRoot(t, "Root")
	v1 := testpki.NewRoot(t, "Old", testpki.Version1())
	expired := testpki.NewRoot(t, "Expired", testpki.Expired())
	rsaRoot := testpki.NewRoot(t, "RSA Root", testpki.Key(testpki.RSA2048))
	sha1Root := testpki.NewRoot(t, "SHA-1 Root", testpki.Key(testpki.RSA2048))
	sha1Root = testpki.NewRoot(t, "SHA-1 Root", testpki.WithKey(sha1Root.Key), testpki.SHA1(sha1Root))
	oldRoot := testpki.NewRoot(t, "Old Root")
	cross := oldRoot.Intermediate("Issuing", testpki.WithKey(mid.Key))
	device := mid.Client("device")
	numbered := root.Client("d", testpki.Serial("01020304"))
	twice := root.Client("d", testpki.Extension(false, []byte{5, 0}, 1, 2, 3, 4), testpki.Extension(false, []byte{5, 0}, 1, 2, 3, 5))
	edited := func(c *testpki.Certificate, old, replacement string) comparison {
		return comparison{anchors: []*testpki.Certificate{root}, chain: [][]byte{root.Resign(c.X509.Raw, func(tbs []byte) []byte {
			if bytes.Count(tbs, []byte(old)) != 1 {
				t.Fatalf("%x is not there once", old)
			}
			return bytes.Replace(tbs, []byte(old), []byte(replacement), 1)
		})}}
	}
	upper := root.Intermediate("ISSUING", testpki.WithKey(mid.Key))

	return map[string]comparison{
		"a DNS name that is permitted":                     good(below(root, dns.Client("d", testpki.DNS("a.fleet.example")))),
		"a DNS name that is not":                           below(root, dns.Client("d", testpki.DNS("a.evil.example"))),
		"a DNS name that is excluded":                      below(root, noDNS.Client("d", testpki.DNS("a.evil.example"))),
		"a DNS name excluded in other case":                below(root, noDNS.Client("d", testpki.DNS("A.EVIL.example"))),
		"a common name that is permitted":                  good(below(root, dns.Client("a.fleet.example"))),
		"a common name that is not":                        x509Differs(below(root, dns.Client("a.evil.example"))),
		"a common name beside a DNS name":                  good(below(root, dns.Client("a.evil.example", testpki.DNS("a.fleet.example")))),
		"a common name that is no DNS name":                good(below(root, dns.Client("device 7"))),
		"a wildcard over what is excluded":                 bothDiffer("a wildcard among the DNS names", good(below(root, noDNS.Client("d", testpki.DNS("*.example"))))),
		"an address that is permitted":                     good(below(root, ip.Client("d", testpki.IP("192.0.2.9")))),
		"an address that is not":                           below(root, ip.Client("d", testpki.IP("198.51.100.9"))),
		"a URI that is permitted":                          good(below(root, uri.Client("d", testpki.URI("spiffe://a.fleet.example/x")))),
		"a URI that is not":                                below(root, uri.Client("d", testpki.URI("spiffe://evil.example/x"))),
		"a URI without a host":                             below(root, uri.Client("d", testpki.URI("urn:uuid:7"))),
		"a URI without a host, only DNS limited":           bothDiffer("a URI without a host", good(below(root, dns.Client("d", testpki.URI("urn:uuid:7"))))),
		"an e-mail address that is permitted":              good(below(root, email.Client("d", testpki.Email("a@fleet.example")))),
		"an e-mail address that is not":                    below(root, email.Client("d", testpki.Email("a@evil.example"))),
		"an e-mail address in the subject":                 x509Differs(below(root, email.Client("d", mailbox("a@evil.example")))),
		"an e-mail address in the subject, permitted":      good(below(root, email.Client("d", mailbox("a@fleet.example")))),
		"a directory name that is permitted":               bothDiffer("limit directory names", good(below(root, constraints(true, organization).Client("d", named("Me"))))),
		"a directory name that is not":                     below(root, constraints(true, organization).Client("d", named("You"))),
		"not critical, a directory name that is permitted": weDiffer("limit directory names", good(below(root, constraints(false, organization).Client("d", named("Me"))))),
		"not critical, a directory name that is not":       x509Differs(below(root, constraints(false, organization).Client("d", named("You")))),
		"name constraints with a minimum":                  x509Differs(below(root, constraints(true, "\x30\x10\xa0\x0e\x30\x0c\x82\x07example\x80\x01\x01").Client("d", testpki.DNS("a.example")))),
		"name constraints of the anchor":                   below(narrowRoot, narrowRoot.Client("d", testpki.DNS("evil.example"))),

		"path length of an intermediate":            below(root, short.Intermediate("Below").Client("d")),
		"path length of the anchor":                 below(shortRoot, shortRoot.Intermediate("Below").Client("d")),
		"path length and a self-issued CA":          bothDiffer("self-issued", good(below(root, short.Intermediate("Short", testpki.Template(func(c *x509.Certificate) { c.AuthorityKeyId = short.X509.SubjectKeyId })).Client("d")))),
		"critical extension of the leaf":            below(root, mid.Client("d", odd)),
		"critical extension of an intermediate":     below(root, root.Intermediate("Odd", odd).Client("d")),
		"a CA without keyCertSign":                  below(root, root.Intermediate("No", testpki.KeyUsage(x509.KeyUsageCRLSign)).Client("d")),
		"a CA with CA:false":                        below(root, root.Intermediate("No", testpki.IsCA(false)).Client("d")),
		"a CA without basic constraints":            below(root, root.Intermediate("No", testpki.NoBasicConstraints()).Client("d")),
		"a CA as a client":                          weDiffer("a CA certificate may identify a client", good(below(root, root.Intermediate("d", testpki.KeyUsage(x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature))))),
		"an intermediate for servers":               below(root, root.Intermediate("Server CA", testpki.EKU(x509.ExtKeyUsageServerAuth)).Client("d")),
		"an intermediate for anything":              laxer("anyExtendedKeyUsage on an intermediate", below(root, root.Intermediate("Any CA", testpki.EKU(x509.ExtKeyUsageAny)).Client("d"))),
		"a leaf for anything":                       x509Differs(below(root, root.Client("d", testpki.EKU(x509.ExtKeyUsageAny)))),
		"a version 1 leaf":                          weDiffer("version 1", good(below(root, root.Client("d", testpki.Version1())))),
		"a version 1 intermediate":                  below(root, root.Intermediate("Old", testpki.Version1()).Client("d")),
		"a version 1 anchor":                        weDiffer("version 1", good(below(v1, v1.Client("d")))),
		"two anchors of one name":                   good(comparison{anchors: []*testpki.Certificate{twin, root}, chain: all(device)}),
		"another CA of the same name":               below(root, twin.Client("d")),
		"two intermediates of one name":             good(comparison{anchors: []*testpki.Certificate{root}, chain: [][]byte{device.X509.Raw, root.Intermediate("Issuing").X509.Raw, mid.X509.Raw}}),
		"a cross certificate to an unknown root":    laxer("does not turn back", comparison{anchors: []*testpki.Certificate{root}, chain: [][]byte{device.X509.Raw, cross.X509.Raw, mid.X509.Raw}}),
		"a cross certificate to the known root":     laxer("does not turn back", comparison{anchors: []*testpki.Certificate{oldRoot}, chain: [][]byte{device.X509.Raw, mid.X509.Raw, cross.X509.Raw}}),
		"an anchor that has expired":                below(expired, expired.Client("d")),
		"an intermediate as anchor":                 laxer("an intermediate as an anchor", comparison{anchors: []*testpki.Certificate{mid}, chain: [][]byte{device.X509.Raw}}),
		"signed with SHA-1":                         bothDiffer("SHA-1", good(below(rsaRoot, rsaRoot.Client("d", testpki.SHA1(rsaRoot))))),
		"an intermediate signed with SHA-1":         bothDiffer("SHA-1", good(below(rsaRoot, rsaRoot.Intermediate("Weak", testpki.SHA1(rsaRoot)).Client("d")))),
		"an anchor signed with SHA-1":               good(below(sha1Root, sha1Root.Client("d"))),
		"signed with MD5":                           bothDiffer("MD5", good(comparison{anchors: []*testpki.Certificate{rsaRoot}, chain: [][]byte{md5Signed(t, rsaRoot)}})),
		"a negative serial number":                  bothDiffer("negative serial number", good(edited(numbered, "\x02\x04\x01\x02\x03\x04", "\x02\x04\x81\x02\x03\x04"))),
		"the same extension twice":                  bothDiffer("the same extension twice", good(edited(twice, "\x2a\x03\x05", "\x2a\x03\x04"))),
		"RSA 1024":                                  weDiffer("weak keys", good(below(root, root.Client("d", testpki.Key(testpki.RSA1024))))),
		"P-224":                                     weDiffer("weak keys", good(below(root, root.Client("d", testpki.Key(testpki.P224))))),
		"Ed25519":                                   weDiffer("Ed25519", good(below(root, root.Client("d", testpki.Key(testpki.Ed25519))))),
		"an issuer in other case":                   bothDiffer("byte for byte", good(comparison{anchors: []*testpki.Certificate{root}, chain: [][]byte{device.X509.Raw, upper.X509.Raw}})),
		"an explicit policy that nobody has":        bothDiffer("requireExplicitPolicy", good(below(root, root.Intermediate("Strict", testpki.Extension(true, []byte{0x30, 3, 0x80, 1, 0}, 2, 5, 29, 36)).Client("d")))),
		"a key identifier that is not the issuer's": laxer("key identifiers are hints", edited(root.Client("d"), string(root.X509.SubjectKeyId), strings.Repeat("x", len(root.X509.SubjectKeyId)))),
	}
}

// md5Signed is a client's certificate, signed with MD5 by an RSA key.
func md5Signed(t *testing.T, ca *testpki.Certificate) []byte {
	t.Helper()
	c := ca.Client("d")
	sha256WithRSA, md5WithRSA := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11}, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4}
	tbs := bytes.Replace(c.X509.RawTBSCertificate, sha256WithRSA, md5WithRSA, 1)
	h := crypto.MD5.New()
	h.Write(tbs)
	signature, err := rsa.SignPKCS1v15(rand.Reader, ca.Key.(*rsa.PrivateKey), crypto.MD5, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	der := bytes.Replace(c.X509.Raw, c.X509.RawTBSCertificate, tbs, 1)
	der = bytes.Replace(der, c.X509.Signature, signature, 1)
	return bytes.Replace(der, sha256WithRSA, md5WithRSA, 1)
}
