package inspect_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/inspect"
	"countersign.dev/internal/testpki"
)

// A found is the start of what a finding says, with its severity and line.
type found struct {
	severity inspect.Severity
	line     int
	words    string
}

func TestFindings(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	day := 24 * time.Hour
	root := testpki.NewRoot(t, "Root")
	mid := root.Intermediate("Issuing")
	other := testpki.NewRoot(t, "Other")
	weak := testpki.NewRoot(t, "Weak", testpki.Key(testpki.RSA1024))
	old := testpki.NewRoot(t, "Old", testpki.WithKey(weak.Key), testpki.SHA1(weak))
	renewed := testpki.NewRoot(t, "Root", testpki.WithKey(root.Key))
	mute := root.Intermediate("Mute", testpki.KeyUsage(x509.KeyUsageCertSign))
	muteSigner := root.Intermediate("Mute", testpki.WithKey(mute.Key))
	list := func(opts ...testpki.CRLOption) []byte { return root.CRL(append(opts, testpki.CRLNumber(7))...) }
	lines := bytes.Count(root.PEM(), []byte("\n"))
	deep := mid.Intermediate("Deep").Intermediate("Deeper")

	for name, tt := range map[string]struct {
		files map[string][]byte
		want  []found
	}{
		"nothing wrong": {files: map[string][]byte{"ca.pem": testpki.PEM(root.X509, mid.X509), "crl.pem": testpki.CRLPEM(list())}},
		"expired":       {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.Expired()).PEM()}, []found{{inspect.Warning, 1, "expired on"}}},
		"not yet valid": {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.NotYetValid()).PEM()}, []found{{inspect.Warning, 1, "is not valid before"}}},
		"expires soon":  {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.Valid(now.Add(-day), now.Add(10*day))).PEM()}, []found{{inspect.Warning, 1, "expires on " + now.Add(10*day).Format(time.RFC3339)}}},
		"a weak key":    {map[string][]byte{"ca.pem": weak.PEM()}, []found{{inspect.Fault, 1, "RSA key of 1024 bits"}}},
		"SHA-1":         {map[string][]byte{"ca.pem": old.PEM()}, []found{{inspect.Fault, 1, "RSA key of 1024 bits"}, {inspect.Warning, 1, "signed with SHA1-RSA"}}},
		"P-224":         {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.Key(testpki.P224)).PEM()}, []found{{inspect.Fault, 1, "curve P-224"}}},
		"Ed25519":       {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.Key(testpki.Ed25519)).PEM()}, []found{{inspect.Warning, 1, "Ed25519"}}},
		"no CA":         {map[string][]byte{"ca.pem": root.Client("d").PEM()}, []found{{inspect.Fault, 1, "is no CA certificate"}}},
		"no keyCertSign": {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.KeyUsage(x509.KeyUsageCRLSign)).PEM()},
			[]found{{inspect.Fault, 1, "does not let it sign certificates"}}},
		"version 1":     {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.Version1()).PEM()}, []found{{inspect.Fault, 1, "version 1"}}},
		"path length 0": {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.MaxPathLen(0)).PEM()}, []found{{inspect.Warning, 1, "path length 0"}}},
		"twice in a file": {map[string][]byte{"ca.pem": testpki.PEM(root.X509, root.X509)},
			[]found{{inspect.Fault, 1 + lines, "the one of line 1 again"}}},
		"twice in two files":          {map[string][]byte{"a.pem": root.PEM(), "b.pem": root.PEM()}, []found{{inspect.Warning, 1, "the certificate of DIR/a.pem, line 1 again"}}},
		"the same name, another key":  {map[string][]byte{"ca.pem": testpki.PEM(root.X509, testpki.NewRoot(t, "Root").X509)}, []found{{inspect.Warning, 1 + lines, "and another key"}}},
		"the same name, the same key": {map[string][]byte{"ca.pem": testpki.PEM(root.X509, renewed.X509)}, []found{{inspect.Warning, 1 + lines, "the name and key of"}}},
		"a damaged block": {map[string][]byte{"ca.pem": append(root.PEM(), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"...)},
			[]found{{inspect.Fault, 1 + lines, "is damaged"}}},
		"a block that does not parse": {map[string][]byte{"ca.pem": append(root.PEM(), "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"...)},
			[]found{{inspect.Fault, 1 + lines, "does not parse"}}},
		"a private key":           {map[string][]byte{"ca.pem": append(root.PEM(), root.KeyPEM()...)}, []found{{inspect.Alarm, 1 + lines, "PRIVATE KEY"}}},
		"a private key in a list": {map[string][]byte{"crl.pem": append(testpki.CRLPEM(list()), root.KeyPEM()...)}, []found{{inspect.Alarm, 1 + bytes.Count(testpki.CRLPEM(list()), []byte("\n")), "PRIVATE KEY"}}},
		"a private key in DER":    {map[string][]byte{"key.der": keyDER(t, root)}, []found{{inspect.Alarm, 0, "the file is a PRIVATE KEY"}}},
		"DER":                     {map[string][]byte{"ca.der": root.X509.Raw}, []found{{inspect.Fault, 0, "in DER"}}},
		"a list in DER":           {map[string][]byte{"crl.der": list()}, nil},
		"empty":                   {map[string][]byte{"ca.pem": nil}, []found{{inspect.Fault, 0, "is empty"}}},
		"garbage":                 {map[string][]byte{"ca.pem": []byte("\x30garbage")}, []found{{inspect.Fault, 0, ""}}},

		"a list that has expired":  {map[string][]byte{"crl.pem": testpki.CRLPEM(list(testpki.CRLValid(now.Add(-9*day), now.Add(-day))))}, []found{{inspect.Fault, 0, "expired on " + now.Add(-day).Format(time.RFC3339)}}},
		"a list that expires soon": {map[string][]byte{"crl.pem": testpki.CRLPEM(list(testpki.CRLValid(now.Add(-9*day), now.Add(day))))}, []found{{inspect.Warning, 0, "expires on"}}},
		"a list of the future":     {map[string][]byte{"crl.pem": testpki.CRLPEM(list(testpki.CRLValid(now.Add(day), now.Add(9*day))))}, []found{{inspect.Warning, 0, "in the future"}}},
		"a list of no CA given":    {map[string][]byte{"ca.pem": other.PEM(), "crl.pem": testpki.CRLPEM(list())}, []found{{inspect.Warning, 0, "is of no CA in the bundles"}}},
		"a list signed by somebody else": {map[string][]byte{"ca.pem": root.PEM(), "crl.pem": testpki.CRLPEM(other.Resign(list(), nil))},
			[]found{{inspect.Fault, 0, "is not signed by the key of"}}},
		"a list of a CA that may sign none": {map[string][]byte{"ca.pem": mute.PEM(), "crl.pem": testpki.CRLPEM(muteSigner.CRL(testpki.CRLNumber(1)))},
			[]found{{inspect.Fault, 0, "does not let it sign revocation lists"}}},
		"an indirect list": {map[string][]byte{"crl.pem": testpki.CRLPEM(list(testpki.CRLExtension(true, []byte{0x30, 3, 0x84, 1, 0xff}, 2, 5, 29, 28)))},
			[]found{{inspect.Fault, 1, "indirect"}}},
		"a list with an unknown critical extension": {map[string][]byte{"crl.pem": testpki.CRLPEM(list(testpki.CRLExtension(true, []byte{5, 0}, 1, 2, 3)))},
			[]found{{inspect.Fault, 1, "1.2.3"}}},
		"an older list too": {map[string][]byte{"a.pem": testpki.CRLPEM(root.CRL(testpki.CRLNumber(6), testpki.CRLValid(now.Add(-2*day), now.Add(9*day)))), "b.pem": testpki.CRLPEM(list())},
			[]found{{inspect.Warning, 0, "is older than list number 7"}}},

		"too deep for AWS":         {map[string][]byte{"ca.pem": testpki.PEM(root.X509, mid.X509, deep.Issuer.X509, deep.X509)}, []found{{inspect.Warning, 1 + lines + height(t, mid, deep.Issuer), "3 CAs away from its root"}}},
		"two lists in a file":      {map[string][]byte{"crl.pem": testpki.CRLPEM(list(), other.CRL(testpki.CRLNumber(1)))}, []found{{inspect.Warning, 0, "2 revocation lists in the file"}}},
		"too many for AWS":         {map[string][]byte{"ca.pem": manyCAs(t, 26, "CA")}, []found{{inspect.Warning, 0, "26 CA certificates"}}},
		"blank lines":              {map[string][]byte{"ca.pem": append(root.PEM(), '\n')}, []found{{inspect.Warning, 1 + lines, "blank"}}},
		"a certificate of 16 KiB":  {map[string][]byte{"ca.pem": testpki.NewRoot(t, "R", testpki.Extension(false, make([]byte, 17<<10), 1, 2, 3)).PEM()}, []found{{inspect.Warning, 1, "bytes"}}},
		"subjects of 10,000 bytes": {map[string][]byte{"ca.pem": manyCAs(t, 10, strings.Repeat("n", 1000))}, []found{{inspect.Warning, 0, "the subjects of the CAs take"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var names []string
			for _, n := range []string{"a.pem", "b.pem", "ca.pem", "ca.der", "key.der", "crl.pem", "crl.der"} {
				if data, ok := tt.files[n]; ok {
					names = append(names, testpki.WriteFile(t, filepath.Join(dir, n), data))
				}
			}
			r := inspect.Files(names, inspect.Options{Now: now, Soon: 20 * day})
			faults := 0
			for i, f := range r.Findings {
				if i >= len(tt.want) {
					t.Errorf("and also: %+v", f)
					continue
				}
				w := tt.want[i]
				if f.Severity != w.severity || f.Line != w.line || !strings.Contains(f.What, strings.ReplaceAll(w.words, "DIR", dir)) {
					t.Errorf("got %+v; want %+v", f, w)
				}
				if f.Severity != inspect.Warning {
					faults++
				}
			}
			if len(r.Findings) < len(tt.want) {
				t.Errorf("%d findings; want %d: %+v", len(r.Findings), len(tt.want), tt.want[len(r.Findings):])
			}
			if r.Faults() != faults || len(r.Files) != len(names) {
				t.Errorf("%d faults in %d files; want %d in %d", r.Faults(), len(r.Files), faults, len(names))
			}
		})
	}
}

func keyDER(t *testing.T, c *testpki.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func height(t *testing.T, all ...*testpki.Certificate) (n int) {
	t.Helper()
	for _, c := range all {
		n += bytes.Count(c.PEM(), []byte("\n"))
	}
	return n
}

func manyCAs(t *testing.T, n int, name string) (all []byte) {
	t.Helper()
	for i := range n {
		all = append(all, testpki.NewRoot(t, fmt.Sprintf("%s %d", name, i)).PEM()...)
	}
	return all
}

func TestAFileThatCannotBeReadIsAFault(t *testing.T) {
	r := inspect.Files([]string{filepath.Join(t.TempDir(), "none.pem")}, inspect.Options{})
	if len(r.Findings) != 1 || r.Faults() != 1 || !strings.Contains(r.Findings[0].What, "no such file") {
		t.Errorf("%+v", r.Findings)
	}
}

// Each CA and each list is told with what identifies it.
func TestFilesAreTold(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	dir := t.TempDir()
	ca := testpki.WriteFile(t, filepath.Join(dir, "ca.pem"), root.PEM())
	crl := testpki.WriteFile(t, filepath.Join(dir, "crl.pem"), testpki.CRLPEM(root.CRL(testpki.CRLNumber(42), testpki.Revoke(root.Client("d")))))
	r := inspect.Files([]string{ca, crl}, inspect.Options{})
	if len(r.Files) != 2 || r.Files[0].Kind != "bundle" || r.Files[1].Kind != "list" {
		t.Fatalf("%+v", r.Files)
	}
	if c := r.Files[0].Certificates[0]; c.Subject != "CN=Root" || c.Line != 1 || c.Key != "P-256" || !c.NotAfter.Equal(root.X509.NotAfter) || len(c.Fingerprint) != 71 {
		t.Errorf("%+v", c)
	}
	if l := r.Files[1].Lists[0]; l.Issuer != "CN=Root" || l.Number != "42" || l.Entries != 1 || l.Delta {
		t.Errorf("%+v", l)
	}
}
