package idheader_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"countersign.dev"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/traffic/verify"
	"github.com/google/go-cmp/cmp"
)

// What holds of every dialect.
func TestEveryDialect(t *testing.T) {
	p := newPKI(t)
	leaf := p.mid.Client("", name(t, "MacID-someone", "Ops unit"), testpki.DNS("someone.example"), testpki.URI("spiffe://someone"), testpki.Email("someone@example.com"))
	good, through := p.verified(t, leaf.Chain()), shown(t, leaf.Chain())
	isName := regexp.MustCompile(`(?i)someone|ops.unit|fleet`)
	for _, d := range idheader.Dialects() {
		t.Run(string(d), func(t *testing.T) {
			said := render(t, only(d), good, idheader.Connection{})
			if len(said) == 0 {
				t.Error("says nothing of a verified client")
			}
			unverified := render(t, only(d), through, idheader.Connection{})
			if len(unverified) == 0 {
				t.Error("says nothing of a client that passes through")
			}
			for _, f := range unverified {
				if strings.Contains(f.value, "SUCCESS") || isName.MatchString(f.value) {
					t.Errorf("of an unverified client: %s: %s", f.name, f.value)
				}
			}
			for _, f := range render(t, only(d), identify.Anonymous(), idheader.Connection{}) {
				if f.value != "NONE" {
					t.Errorf("of nobody: %s: %s", f.name, f.value)
				}
			}
			for _, f := range slices.Concat(said, unverified) {
				if !idheader.Stripped([]byte(f.name)) {
					t.Errorf("%s is not stripped from what clients send", f.name)
				}
				own := idheader.Config{Dialects: []idheader.Dialect{d}, Set: []idheader.Header{{Name: f.name, Value: "x"}}}
				if _, err := idheader.Compile(own); err == nil {
					t.Errorf("%s can be set a second time", f.name)
				}
			}
			again := render(t, only(d), good, idheader.Connection{})
			if !slices.Equal(said, again) {
				t.Error("renders differently the second time")
			}
		})
	}
}

// everything asks for every dialect and every placeholder.
func everything() idheader.Config {
	c := idheader.Config{Dialects: idheader.Dialects()}
	for _, p := range []string{"subject", "issuer", "serial", "fingerprint", "cn", "ou", "san_dns", "san_uri", "not_before", "not_after", "verify", "server_name", "tls_version", "tls_cipher"} {
		c.Set = append(c.Set, idheader.Header{Name: "X-Own-" + p, Value: "{" + p + "}"})
	}
	return c
}

// T21: whatever a certificate holds, a header is a header, and a reader of each
// format gets back what the certificate says and nothing else.
func FuzzRender(f *testing.F) {
	f.Add("MacID-AA:BB:CC:DD:EE:FF", "ops", "a.example", "spiffe://ops/a", "a.example")
	f.Add("x\";Cert=\"evil;URI=spiffe://admin", "x,CN=admin", "a b", "https://a/?b=c;d,e", "")
	f.Add("a\r\nX-SSL-Client-Verify: SUCCESS\r\n\r\n", "\\\",;=+<>#", "x;y", "urn:x%2C", "\r\n")
	f.Add(" ", "# ", "", "", "\x00")
	f.Add("Zoë\\", "%22\",Subject=\"CN=admin", "a,b", "a:b,c", "é")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	root := testpki.NewRoot(f, "Root")
	store, err := verify.New(verify.Config{Name: "fuzz", Anchors: []*x509.Certificate{root.X509}})
	if err != nil {
		f.Fatal(err)
	}
	plan, err := idheader.Compile(everything())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, cn, ou, dns, uri, sni string) {
		leaf := hostile(t, root, key, cn, ou, dns, uri)
		chain, denial := store.Verify([]*x509.Certificate{leaf}, verify.Options{})
		if denial != nil {
			t.Skip(denial)
		}
		client, denial := identify.From(chain)
		if denial != nil {
			if denial.Code != countersign.ClientCertInvalid {
				t.Fatal(denial)
			}
			return
		}
		out, denial := plan.Render(nil, client, idheader.Connection{ServerName: sni, TLSVersion: sni, TLSCipher: sni})
		if denial != nil {
			if denial.Code != countersign.IdentityTooLarge {
				t.Fatal(denial)
			}
			return
		}
		readBack(t, split(t, out), leaf, client.Identity())
	})
}

// hostile makes a client certificate that says just that, or skips the test
// where crypto/x509 refuses to make or to read it.
func hostile(t *testing.T, root *testpki.Certificate, key *ecdsa.PrivateKey, cn, ou, dns, uri string) *x509.Certificate {
	t.Helper()
	if !utf8.ValidString(cn) || !utf8.ValidString(ou) {
		t.Skip("not UTF-8")
	}
	rdn := func(last int, value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, last}, Value: asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(value)}}
	}
	subject, err := asn1.Marshal(pkix.RDNSequence{{rdn(11, ou)}, {rdn(3, cn)}})
	if err != nil {
		t.Skip(err)
	}
	var names []asn1.RawValue
	for tag, s := range map[int]string{2: dns, 6: uri} {
		if s != "" {
			names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(s)})
		}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), RawSubject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if len(names) > 0 {
		san, err := asn1.Marshal(names)
		if err != nil {
			t.Skip(err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root.X509, key.Public(), root.Key)
	if err != nil {
		t.Skip(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Skip(err)
	}
	return leaf
}

// readBack holds fields against what leaf says.
func readBack(t *testing.T, fields []field, leaf *x509.Certificate, id *countersign.Identity) {
	t.Helper()
	seen := map[string]bool{}
	for _, f := range fields {
		if seen[f.name] {
			t.Errorf("%s twice", f.name)
		}
		seen[f.name] = true
		if f.value != strings.Trim(f.value, " \t") {
			t.Errorf("%s: readers would drop white space of %q", f.name, f.value)
		}
	}
	want := []string{"CN=" + id.CommonNames[0], "OU=" + id.OrganizationalUnits[0]}
	for _, header := range []string{"X-SSL-Client-S-DN", "X-Amzn-Mtls-Clientcert-Subject", "X-Own-subject"} {
		if diff := cmp.Diff(want, rfc2253(t, value(t, fields, header))); diff != "" {
			t.Errorf("%s: %s", header, diff)
		}
	}
	for _, header := range []string{"X-SSL-Client-Escaped-Cert", "X-Amzn-Mtls-Clientcert-Leaf"} {
		if !bytes.Equal(decodePEM(t, value(t, fields, header)), leaf.Raw) {
			t.Errorf("%s is not the leaf", header)
		}
	}

	xfcc := value(t, fields, "X-Forwarded-Client-Cert")
	pairs := xfccPairs(t, xfcc)
	wantKeys := []string{"Hash", "Cert", "Subject", "URI"}
	for range id.DNSNames {
		wantKeys = append(wantKeys, "DNS")
	}
	var keys []string
	for _, p := range pairs {
		keys = append(keys, p[0])
	}
	if diff := cmp.Diff(wantKeys, keys); diff != "" {
		t.Fatalf("%s\n%s", xfcc, diff)
	}
	if diff := cmp.Diff(want, rfc2253(t, pairs[2][1])); diff != "" {
		t.Errorf("XFCC: %s", diff)
	}
	for i, u := range append(slices.Clone(id.URIs), id.DNSNames...) {
		if got := pairs[3+i+max(0, 1-len(id.URIs))][1]; got != u {
			t.Errorf("XFCC: got %q, want %q", got, u)
		}
	}
	// A reader that drops every backslash finds no attribute that is not there.
	var types []string
	for _, rdn := range regexp.MustCompile("[,+]").Split(strings.ReplaceAll(pairs[2][1], `\`, ""), -1) {
		if key, _, ok := strings.Cut(rdn, "="); ok {
			types = append(types, key)
		}
	}
	if !slices.Equal(types, []string{"CN", "OU"}) {
		t.Errorf("without backslashes %q has attributes %q", pairs[2][1], types)
	}
	// One that splits at semicolons, quoted or not (tgies #229), finds no further
	// pair in the subject.
	if strings.ContainsAny(pairs[2][1], `;"`) {
		t.Errorf("a naive reader is misled by %q", pairs[2][1])
	}

	info, err := url.QueryUnescape(value(t, fields, "X-Forwarded-Tls-Client-Cert-Info"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`^Subject="([^"]*)";Issuer="CN=Root";SerialNumber="1";NB="\d+";NA="\d+"(;SAN="[^"]*")?$`).FindStringSubmatch(info)
	if m == nil && id.CommonNames[0]+id.OrganizationalUnits[0] != "" {
		t.Fatalf("traefik: %q", info)
	}
	if m != nil {
		for _, rdn := range strings.Split(m[1], ",") {
			plain, err := url.PathUnescape(rdn)
			if err != nil || !slices.Contains(want, plain) {
				t.Errorf("traefik: %q, %v is not among %q", plain, err, want)
			}
		}
	}

	for header, want := range map[string]string{"X-Own-cn": id.CommonNames[0], "X-Own-ou": id.OrganizationalUnits[0]} {
		if want == "" {
			continue
		}
		got := value(t, fields, header)
		if plain, err := url.PathUnescape(got); err != nil || plain != want || strings.ContainsAny(got, `",;\`) {
			t.Errorf("%s: %q is not %q, %v", header, got, want, err)
		}
	}
}

// rfc2253 reads a name back, most specific RDN first, as "TYPE=value" in UTF-8.
func rfc2253(t *testing.T, s string) []string {
	t.Helper()
	var out []string
	var b []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',' || c == '+':
			out, b = append(out, string(b)), nil
		case c == '\\' && i+2 < len(s) && isHex(s[i+1:i+3]):
			v, _ := hex.DecodeString(s[i+1 : i+3])
			b = append(b, v...)
			i += 2
		case c == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case strings.IndexByte(`"\<>;`, c) >= 0:
			t.Fatalf("bare %q in name %q", c, s)
		default:
			b = append(b, c)
		}
	}
	return append(out, string(b))
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil
}

// xfccPairs reads one XFCC element as Envoy documents it: pairs between ";",
// values with "," ";" "=" in quotes, a quote within as \".
func xfccPairs(t *testing.T, s string) [][2]string {
	t.Helper()
	var pairs [][2]string
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			t.Fatalf("no key in %q", s)
		}
		var v string
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for ; end < len(rest) && rest[end] != '"' || rest[end-1] == '\\'; end++ {
			}
			v, rest = strings.ReplaceAll(rest[1:end], `\"`, `"`), rest[end+1:]
		} else {
			end := strings.IndexByte(rest, ';')
			if end < 0 {
				end = len(rest)
			}
			if v, rest = rest[:end], rest[end:]; strings.ContainsAny(v, `,="`) {
				t.Fatalf("bare %q", v)
			}
		}
		pairs = append(pairs, [2]string{key, v})
		if rest == "" {
			return pairs
		}
		if rest[0] != ';' {
			t.Fatalf("no pair: %q", rest)
		}
		s = rest[1:]
	}
}
