package verify_test

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify"
)

func TestFilter(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	spiffe := root.Client("ops-1", testpki.OU("ops", "eu"), testpki.URI("spiffe://ops/db"), testpki.DNS("Db.Ops", "db.ops.example"))
	// The SAN extension by hand: values that crypto/x509 would not write.
	san := func(tag byte, value string) testpki.Option {
		name := append([]byte{tag, byte(len(value))}, value...)
		return testpki.Extension(false, append([]byte{0x30, byte(len(name))}, name...), 2, 5, 29, 17)
	}
	twoCNs := root.Client("", testpki.Subject(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "guest"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "ops-1"}}}))
	nul := root.Client("ops-1\x00.attacker")
	print := sha256.Sum256(spiffe.X509.Raw)
	pin := sha256.Sum256(spiffe.X509.RawSubjectPublicKeyInfo)
	rootPin := sha256.Sum256(root.X509.RawSubjectPublicKeyInfo)
	pinned := func(sum [32]byte) string { return "sha256/" + base64.StdEncoding.EncodeToString(sum[:]) }
	colons := strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("% X", print[:]), " ", ":"), ":")

	for _, tt := range []struct {
		name   string
		leaf   *testpki.Certificate
		filter verify.Filter
		want   bool
	}{
		{"CN", spiffe, verify.Filter{SubjectCN: []string{"ops-1"}}, true},
		{"CN glob", spiffe, verify.Filter{SubjectCN: []string{"o*-*1"}}, true},
		{"CN star alone", spiffe, verify.Filter{SubjectCN: []string{"*"}}, true},
		{"CN case", spiffe, verify.Filter{SubjectCN: []string{"OPS-1"}}, false},
		{"CN prefix is not enough", spiffe, verify.Filter{SubjectCN: []string{"ops"}}, false},
		{"CN second value", spiffe, verify.Filter{SubjectCN: []string{"x", "ops-1"}}, true},
		{"CN missing", root.Client("", testpki.OU("ops")), verify.Filter{SubjectCN: []string{"*"}}, false},
		{"two CNs, one matches", twoCNs, verify.Filter{SubjectCN: []string{"ops-*"}}, false},
		{"two CNs, both match", twoCNs, verify.Filter{SubjectCN: []string{"ops-*", "guest"}}, true},
		{"NUL in CN", nul, verify.Filter{SubjectCN: []string{"ops-1"}}, false},
		{"NUL in CN, star", nul, verify.Filter{SubjectCN: []string{"*"}}, false},
		{"OU any of several", spiffe, verify.Filter{SubjectOU: []string{"eu"}}, true},
		{"OU is no CN", root.Client("eu"), verify.Filter{SubjectOU: []string{"eu"}}, false},
		{"DNS", spiffe, verify.Filter{SANDNS: []string{"*.OPS.example"}}, true},
		{"DNS case folded", spiffe, verify.Filter{SANDNS: []string{"dB.oPS"}}, true},
		{"DNS is no CN", root.Client("db.ops"), verify.Filter{SANDNS: []string{"db.ops"}}, false},
		{"DNS in a URI", root.Client("x", san(0x86, "db.ops")), verify.Filter{SANDNS: []string{"db.ops"}}, false},
		{"e-mail is no DNS", root.Client("x", testpki.Email("db@ops")), verify.Filter{SANDNS: []string{"*"}}, false},
		{"wildcard in the certificate is a letter", root.Client("x", testpki.DNS("*.ops")), verify.Filter{SANDNS: []string{"db.ops"}}, false},
		{"NUL in DNS", root.Client("x", san(0x82, "db.ops\x00.evil")), verify.Filter{SANDNS: []string{"db.ops*"}}, false},
		{"otherName with the text", root.Client("x", san(0x80, "db.ops")), verify.Filter{SANDNS: []string{"*"}}, false},
		{"otherName that holds the text", root.Client("x", san(0xa0, "\x06\x01\x2a\xa0\x08\x0c\x06db.ops")), verify.Filter{SANDNS: []string{"*"}, SubjectCN: []string{"x"}}, false}, // CVE-2025-66220
		{"DNS in pieces, which is not DER", root.Client("x", san(0xa2, "\x16\x06db.ops")), verify.Filter{SANDNS: []string{"*"}}, false},
		{"homograph in CN", root.Client("\u043eps-1"), verify.Filter{SubjectCN: []string{"ops-1"}}, false}, // a Cyrillic o
		{"letter that folds to an ASCII one in CN", root.Client("op\u017f-1"), verify.Filter{SubjectCN: []string{"ops-1"}}, false},
		{"full-width letters in CN", root.Client("\uff4f\uff50\uff53-1"), verify.Filter{SubjectCN: []string{"ops-1"}}, false},
		{"space after the CN", root.Client("ops-1 "), verify.Filter{SubjectCN: []string{"ops-1"}}, false},
		{"URI", spiffe, verify.Filter{SANURI: []string{"spiffe://ops/*"}}, true},
		{"URI case", spiffe, verify.Filter{SANURI: []string{"spiffe://OPS/*"}}, false},
		{"URI as written", root.Client("x", san(0x86, "SPIFFE://ops/db")), verify.Filter{SANURI: []string{"spiffe://ops/*"}}, false},
		{"URI is no DNS", root.Client("x", san(0x82, "spiffe://ops/db")), verify.Filter{SANURI: []string{"spiffe://ops/*"}}, false},
		{"all fields", spiffe, verify.Filter{SubjectCN: []string{"ops-*"}, SubjectOU: []string{"ops"}, SANURI: []string{"spiffe://*"}}, true},
		{"one field fails", spiffe, verify.Filter{SubjectCN: []string{"ops-*"}, SubjectOU: []string{"dev"}, SANURI: []string{"spiffe://*"}}, false},
		{"pin", spiffe, verify.Filter{SPKIPin: []string{pinned(pin)}}, true},
		{"pin of the CA", spiffe, verify.Filter{SPKIPin: []string{pinned(rootPin)}}, false},
		{"fingerprint", spiffe, verify.Filter{Fingerprint: []string{fmt.Sprintf("sha256:%x", print)}}, true},
		{"fingerprint with colons", spiffe, verify.Filter{Fingerprint: []string{"sha256:" + colons}}, true},
		{"other fingerprint", spiffe, verify.Filter{Fingerprint: []string{fmt.Sprintf("sha256:%x", pin)}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := tt.filter.Compile()
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Match(tt.leaf.X509); got != tt.want {
				t.Errorf("%+v matches %s: %v", tt.filter, tt.leaf.X509.Subject, got)
			}
			if n := testing.AllocsPerRun(10, func() { m.Match(tt.leaf.X509) }); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	var none verify.Matcher
	if none.Match(spiffe.X509) {
		t.Error("the zero Matcher matches")
	}
}
