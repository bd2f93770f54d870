package verify_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
	"github.com/google/go-cmp/cmp"
)

func TestLoadBundle(t *testing.T) {
	a, b := testpki.NewRoot(t, "A"), testpki.NewRoot(t, "B")
	mid := a.Intermediate("Issuing")
	pemA, pemB := string(a.PEM()), string(b.PEM())
	linesA := strings.Count(pemA, "\n")
	large := testpki.NewRoot(t, "Large", testpki.Extension(false, make([]byte, 16<<10), 1, 2, 3))
	var many strings.Builder
	for i := range 26 {
		many.Write(testpki.NewRoot(t, fmt.Sprint("CA ", i)).PEM())
	}
	block := func(typ string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: a.X509.Raw}))
	}
	at := func(line int, words string) string { return fmt.Sprintf("ca.pem:%d: %s", line, words) }
	for name, tt := range map[string]struct {
		data  string
		limit verify.Limits
		certs int
		want  []string // of each problem, in order: where, words that it contains; "!" first: a fault, else a warning
	}{
		"one":                    {data: pemA, certs: 1},
		"several, intermediate":  {data: pemA + pemB + string(mid.PEM()), certs: 3},
		"comments":               {data: "# Root A\n" + pemA + "#B\n" + pemB, certs: 2},
		"CRLF":                   {data: strings.ReplaceAll(pemA, "\n", "\r\n"), certs: 1},
		"no newline at the end":  {data: strings.TrimSpace(pemA), certs: 1},
		"comment with a dash":    {data: "# a-b\n" + pemA, certs: 1, want: []string{at(1, `the comment "# a-b" contains "-"`)}},
		"blank line":             {data: pemA + "\n\n" + pemB, certs: 2, want: []string{at(linesA+1, "lines")}},
		"expired":                {data: string(testpki.NewRoot(t, "Old", testpki.Expired()).PEM()), certs: 1, want: []string{at(1, `"CN=Old" expired on`)}},
		"not yet valid":          {data: string(testpki.NewRoot(t, "New", testpki.NotYetValid()).PEM()), certs: 1, want: []string{at(1, `"CN=New" is not valid before`)}},
		"empty":                  {data: "", want: []string{"!ca.pem: the bundle is empty"}},
		"white":                  {data: " \n\n", want: []string{"!ca.pem: the bundle is empty"}},
		"comment alone":          {data: "# soon\n", want: []string{"!ca.pem: there is no PEM block"}},
		"DER":                    {data: string(a.X509.Raw), want: []string{"!ca.pem: the bundle is binary"}},
		"byte order mark":        {data: "\ufeff" + pemA, certs: 1, want: []string{"!" + at(1, "the bundle begins with a byte order mark")}},
		"private key":            {data: pemA + string(a.KeyPEM()), certs: 1, want: []string{"!" + at(linesA+1, `a private key ("PRIVATE KEY")`)}},
		"old private key":        {data: pemA + block("EC PRIVATE KEY"), certs: 1, want: []string{"!" + at(linesA+1, "a private key")}},
		"trusted certificate":    {data: block("TRUSTED CERTIFICATE"), want: []string{"!" + at(1, "OpenSSL's own format")}},
		"PKCS7":                  {data: block("PKCS7"), want: []string{"!" + at(1, "PKCS#7")}},
		"revocation list":        {data: pemA + string(testpki.CRLPEM(a.CRL())), certs: 1, want: []string{"!" + at(linesA+1, "a revocation list is in the bundle")}},
		"another block":          {data: block("CERTIFICATE REQUEST"), want: []string{"!" + at(1, `a "CERTIFICATE REQUEST" block`)}},
		"text dump":              {data: "Certificate:\n    Data:\n" + pemA, certs: 1, want: []string{"!" + at(1, "lines 1 to 2 are no PEM")}},
		"garbage at the end":     {data: pemA + "EOF\n", certs: 1, want: []string{"!" + at(linesA+1, `no PEM: "EOF"`)}},
		"lost END":               {data: strings.Replace(pemA, "-----END CERTIFICATE-----\n", "", 1) + pemB, certs: 1, want: []string{"!" + at(1, "damaged")}},
		"damaged base64":         {data: strings.Replace(pemA, "M", "!", 1), want: []string{"!" + at(1, "not base64")}},
		"unparsable":             {data: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("hello")})), want: []string{"!" + at(1, "does not parse")}},
		"trailing DER":           {data: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: append(a.X509.Raw, 0)})), want: []string{"!" + at(1, "does not parse")}},
		"twice":                  {data: pemA + pemB + pemA, certs: 2, want: []string{"!" + at(linesA+strings.Count(pemB, "\n")+1, "the one of line 1 again")}},
		"leaf":                   {data: string(testpki.PEM(a.Client("d").X509)), certs: 1, want: []string{"!" + at(1, `"CN=d" is no CA certificate`)}},
		"no basic constraints":   {data: string(testpki.NewRoot(t, "X", testpki.NoBasicConstraints()).PEM()), certs: 1, want: []string{"!" + at(1, "is no CA certificate")}},
		"version 1":              {data: string(testpki.NewRoot(t, "V1", testpki.Version1()).PEM()), certs: 1, want: []string{"!" + at(1, "version 1")}},
		"may not sign":           {data: string(testpki.NewRoot(t, "X", testpki.KeyUsage(x509.KeyUsageCRLSign)).PEM()), certs: 1, want: []string{"!" + at(1, "key usage")}},
		"critical extension":     {data: string(testpki.NewRoot(t, "X", testpki.Extension(true, []byte{5, 0}, 1, 2, 3)).PEM()), certs: 1, want: []string{"!" + at(1, "1.2.3")}},
		"no subject":             {data: string(testpki.NewRoot(t, "", testpki.RawSubject([]byte{0x30, 0})).PEM()), certs: 1, want: []string{"!" + at(1, "has no subject")}},
		"too large":              {data: string(large.PEM()), want: []string{"!" + at(1, "at most 16384 bytes")}},
		"too many":               {data: many.String(), certs: 26, want: []string{"!ca.pem: the bundle has 26 CA certificates; want at most 25"}},
		"as many as allowed":     {data: many.String(), limit: verify.Limits{CACertificates: 26}, certs: 26},
		"subjects":               {data: pemA + pemB, limit: verify.Limits{SubjectSize: 2*(len(a.X509.RawSubject)+2) - 1}, certs: 2, want: []string{"!ca.pem: the CAs' subjects take 32 bytes"}},
		"subjects that just fit": {data: pemA + pemB, limit: verify.Limits{SubjectSize: 2 * (len(a.X509.RawSubject) + 2)}, certs: 2},
		"everything wrong at once": {data: "x\n" + pemA + pemA + string(a.KeyPEM()) + string(testpki.PEM(a.Client("d").X509)), certs: 2, want: []string{
			"!" + at(1, ""), "!" + at(2+linesA, "line 2 again"), "!" + at(2+2*linesA, "private key"), "!ca.pem:"}},
	} {
		t.Run(name, func(t *testing.T) {
			certs, problems := verify.LoadBundle("ca.pem", []byte(tt.data), tt.limit)
			if len(certs) != tt.certs {
				t.Errorf("%d certificates, want %d", len(certs), tt.certs)
			}
			var got []string
			for _, p := range problems {
				text := p.Error()
				if !p.Warning {
					text = "!" + text
				}
				got = append(got, text)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("problems %s", cmp.Diff(tt.want, got))
			}
			for i, w := range tt.want {
				where, words, _ := strings.Cut(w, ": ")
				if !strings.HasPrefix(got[i], where) || !strings.Contains(got[i], words) {
					t.Errorf("problem %q; want %q", got[i], w)
				}
			}
		})
	}
}

// A bundle without faults gives certificates that encoding/pem sees too, and in
// that number; nothing is dropped in silence.
func FuzzLoadBundle(f *testing.F) {
	root := testpki.NewRoot(f, "Root")
	f.Add(root.PEM())
	f.Add([]byte("# c\n\n" + string(root.PEM()) + string(root.KeyPEM())))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nA: b\n\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, problems := verify.LoadBundle("ca.pem", data, verify.Limits{})
		for _, p := range problems {
			if !p.Warning {
				return
			}
		}
		if len(certs) == 0 {
			t.Fatal("neither certificate nor fault")
		}
		for rest := data; ; {
			var b *pem.Block
			if b, rest = pem.Decode(rest); b == nil {
				break
			}
			if len(certs) == 0 || string(certs[0].Raw) != string(b.Bytes) {
				t.Fatal("encoding/pem sees another certificate")
			}
			certs = certs[1:]
		}
		if len(certs) > 0 {
			t.Fatalf("%d certificates that encoding/pem does not see", len(certs))
		}
	})
}
