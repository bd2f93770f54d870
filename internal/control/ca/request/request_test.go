package request

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pubkey"
	"countersign.dev/internal/wire/dn"
)

func extension(t testing.TB, oid string, critical bool, value any) pkix.Extension {
	t.Helper()
	id, err := parseOID(oid)
	if err != nil {
		t.Fatal(err)
	}
	der, ok := value.([]byte)
	if !ok {
		if der, err = asn1.Marshal(value); err != nil {
			t.Fatal(err)
		}
	}
	return pkix.Extension{Id: id, Critical: critical, Value: der}
}

func newCSR(t testing.TB, key crypto.Signer, r x509.CertificateRequest) []byte {
	t.Helper()
	if r.Subject.CommonName == "" {
		r.Subject.CommonName = "MacID-AA:BB:CC:DD:EE:FF"
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &r, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func armor(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

func TestReadCSRTakesSubjectNamesAndKey(t *testing.T) {
	key := p256(t)
	uri, _ := url.Parse("spiffe://example.com/device/7")
	der := newCSR(t, key, x509.CertificateRequest{
		DNSNames: []string{"device-7.example.com"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7).To4()},
		URIs: []*url.URL{uri}, EmailAddresses: []string{"ops@example.com"},
	})
	for name, data := range map[string][]byte{
		"PEM":         armor("CERTIFICATE REQUEST", der),
		"PEM, of old": append([]byte("subject=CN = text in front\n"), armor("NEW CERTIFICATE REQUEST", der)...),
		"DER":         der,
	} {
		c, err := ReadCSR(data, issuance.Device)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if text, err := dn.String(c.Subject); err != nil || text != "CN=MacID-AA:BB:CC:DD:EE:FF" {
			t.Errorf("%s: subject %s, %v", name, text, err)
		}
		if !key.Public().(*ecdsa.PublicKey).Equal(c.PublicKey) {
			t.Errorf("%s: the key is another", name)
		}
		if c.Names.Len() != 4 || len(c.Notes) != 0 {
			t.Errorf("%s: names %v, notes %v", name, c.Names, c.Notes)
		}
	}
}

func TestReadCSRRefuses(t *testing.T) {
	key := p256(t)
	good := newCSR(t, key, x509.CertificateRequest{})
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	// Another's public key under a signature of one's own: what a thief of
	// names, who has no key, would send.
	other := newCSR(t, p256(t), x509.CertificateRequest{})
	parsed, err := x509.ParseCertificateRequest(other)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := x509.ParseCertificateRequest(good)
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := asn1.Marshal(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: parsed.RawTBSCertificateRequest},
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}},
		asn1.BitString{Bytes: mine.Signature, BitLength: 8 * len(mine.Signature)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "no PEM block"},
		{"text", []byte("hello"), "no PEM block"},
		{"a mebibyte", make([]byte, 1<<20), "at most 64 KiB"},
		{"a mebibyte behind the request", append(armor("CERTIFICATE REQUEST", good), make([]byte, 1<<20)...), "at most 64 KiB"},
		{"a certificate", armor("CERTIFICATE", good), "holds a CERTIFICATE"},
		{"a private key", armor("PRIVATE KEY", good), "holds a PRIVATE KEY"},
		{"two requests", append(armor("CERTIFICATE REQUEST", good), armor("CERTIFICATE REQUEST", good)...), "second PEM block"},
		{"half of it", good[:len(good)/2], "not a certificate signing request"},
		{"something behind it", append(good[:len(good):len(good)], 0), "not a certificate signing request"},
		{"a wrong signature", forged, "prove possession"},
		{"another's key", stolen, "prove possession"},
		{"a weak key", newCSR(t, weak, x509.CertificateRequest{}), "RSA with 1024 bits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadCSR(tc.data, issuance.Device)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestRequestedExtensions(t *testing.T) {
	const (
		san, bc, ku, eku, ski = "2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.14"
	)
	type constraints struct {
		IsCA bool `asn1:"optional"`
	}
	oids := func(texts ...string) []asn1.ObjectIdentifier {
		var ids []asn1.ObjectIdentifier
		for _, text := range texts {
			id, err := parseOID(text)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	bits := func(b ...byte) asn1.BitString { return asn1.BitString{Bytes: b, BitLength: 8 * len(b)} }
	general := func(tag int, value string) asn1.RawValue {
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)}
	}
	for _, tc := range []struct {
		name    string
		profile issuance.Profile
		e       pkix.Extension
		note    string
		refused string
	}{
		{"to be no authority", issuance.Device, extension(t, bc, true, constraints{}), "", ""},
		{"to be an authority", issuance.Device, extension(t, bc, true, constraints{true}), "", "CA:true"},
		{"to be an authority of servers", issuance.Server, extension(t, bc, false, constraints{true}), "", "CA:true"},
		{"broken constraints", issuance.Device, extension(t, bc, false, []byte{1}), "", "malformed"},

		{"to sign", issuance.Device, extension(t, ku, true, bits(0x80)), "", ""},
		{"to agree on keys", issuance.Device, extension(t, ku, true, bits(0x88)), "key usage [keyAgreement] ignored", ""},
		{"to encipher", issuance.Server, extension(t, ku, true, bits(0xa0)), "key usage [keyEncipherment] ignored", ""},
		{"to sign certificates", issuance.Device, extension(t, ku, true, bits(0x84)), "", "keyCertSign"},
		{"to sign lists", issuance.Client, extension(t, ku, false, bits(0x02)), "", "cRLSign"},
		{"a bit nobody knows", issuance.Device, extension(t, ku, false, bits(0x80, 0x01)), "[bit 15] ignored", ""},
		{"broken usage", issuance.Device, extension(t, ku, false, []byte{}), "", "malformed"},

		{"a client's purpose for a device", issuance.Device, extension(t, eku, false, oids("1.3.6.1.5.5.7.3.2")), "", ""},
		{"a server's purpose for a device", issuance.Device, extension(t, eku, false, oids("1.3.6.1.5.5.7.3.1")), "", "serverAuth: the profile device does not give it, server does"},
		{"a client's purpose for a server", issuance.Server, extension(t, eku, false, oids("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2")), "", "clientAuth: the profile server does not give it, client and device do"},
		{"any purpose", issuance.Client, extension(t, eku, false, oids("2.5.29.37.0")), "", "anyExtendedKeyUsage"},
		{"to sign code", issuance.Client, extension(t, eku, false, oids("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.3")), "", "codeSigning"},
		{"an unknown purpose", issuance.Client, extension(t, eku, false, oids("1.2.3.4")), "", "1.2.3.4"},
		{"broken purposes", issuance.Client, extension(t, eku, false, []byte{0x30, 0x01}), "", "malformed"},

		{"an other name", issuance.Client, extension(t, san, false, []asn1.RawValue{general(2, "a.example"), general(0, "upn")}), "", `kind "otherName"`},
		{"a directory name", issuance.Client, extension(t, san, false, []asn1.RawValue{general(4, "x")}), "", `kind "directoryName"`},
		{"a registered id", issuance.Client, extension(t, san, false, []asn1.RawValue{general(8, "x")}), "", `kind "registeredID"`},
		{"broken names", issuance.Client, extension(t, san, false, []byte{0x04, 0x00}), "", "request"},

		{"a key id", issuance.Device, extension(t, ski, false, []byte{4, 1, 7}), "subject key identifier ignored", ""},
		{"policies", issuance.Device, extension(t, "2.5.29.32", true, []byte{0x30, 0}), "certificatePolicies ignored, although asked for as critical", ""},
		{"an unknown extension", issuance.Device, extension(t, "1.2.3.4", false, []byte{5, 0}), "1.2.3.4 ignored", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			der := newCSR(t, p256(t), x509.CertificateRequest{ExtraExtensions: []pkix.Extension{tc.e}})
			c, err := ReadCSR(der, tc.profile)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("error %v, want %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			notes := strings.Join(c.Notes, "; ")
			if tc.note == "" && notes != "" || !strings.Contains(notes, tc.note) {
				t.Errorf("notes %q, want %q", notes, tc.note)
			}
		})
	}
}

// FuzzReadCSR: whatever is read and then passes the checks of issuance names
// nobody in two ways and never yields an authority.
func FuzzReadCSR(f *testing.F) {
	key := p256(f)
	f.Add(newCSR(f, key, x509.CertificateRequest{DNSNames: []string{"a.example"}}))
	f.Add(armor("CERTIFICATE REQUEST", newCSR(f, key, x509.CertificateRequest{})))
	f.Add(newCSR(f, key, x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
		extension(f, "2.5.29.19", true, []byte{0x30, 3, 1, 1, 0xff}), extension(f, "2.5.29.37", false, []byte{0x30, 0}),
		extension(f, "2.5.29.15", true, []byte{3, 2, 1, 6}),
	}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ReadCSR(data, issuance.Client)
		if err != nil {
			return
		}
		if c.PublicKey == nil || len(data) > MaxSize {
			t.Errorf("%d bytes were read as a request with the key %v", len(data), c.PublicKey)
		}
		if err := pubkey.Check(c.PublicKey); err != nil {
			t.Error(err)
		}
	})
}

// FuzzWish gets past the signature, which a fuzzer cannot forge.
func FuzzWish(f *testing.F) {
	for _, oid := range []string{"2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37"} {
		f.Add(oid, []byte{0x30, 3, 1, 1, 0xff}, true)
		f.Add(oid, []byte{3, 2, 1, 6}, false)
	}
	f.Fuzz(func(t *testing.T, oid string, value []byte, critical bool) {
		id, err := parseOID(oid)
		if err != nil {
			return
		}
		note, err := wish(pkix.Extension{Id: id, Critical: critical, Value: value}, issuance.Client)
		if note != "" && err != nil {
			t.Errorf("both the note %q and the refusal %v", note, err)
		}
	})
}

func TestParseSubject(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"CN=gate 7,OU=ops,O=Example", "CN=gate 7,OU=ops,O=Example"},
		{"cn = gate 7 , ou=ops ,O= Example ", "CN=gate 7,OU=ops,O=Example"},
		{`O=Smith\, Jones & Co.,C=DE`, `O=Smith\, Jones & Co.,C=DE`},
		{`CN=a\+b\"c\"\=\\`, `CN=a\+b\"c\"=\\`},
		{`CN=\ x\ `, `CN=\ x\ `},
		{`CN=caf\C3\A9`, `CN=caf\C3\A9`},
		{"CN=café", `CN=caf\C3\A9`},
		{"CN=a+OU=b,O=c", "OU=b+CN=a,O=c"}, // a set has no order of its own; OpenSSL prints the last first
		{"serialNumber=17,emailAddress=a@b.example,DC=example,DC=com,UID=u", "serialNumber=17,emailAddress=a@b.example,DC=example,DC=com,UID=u"},
		{"2.5.4.3=x", "CN=x"},
	} {
		der, err := ParseSubject(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got, err := dn.String(der); err != nil || got != tc.want {
			t.Errorf("%s: %s, %v; want %s", tc.text, got, err, tc.want)
		}
	}
	for _, tc := range []struct{ text, want string }{
		{"", "no '='"},
		{"gate", "no '='"},
		{"CN=a,", "no '='"},
		{"CN=a,,O=b", `",O" is no attribute`},
		{"/CN=a/O=b", "OpenSSL's old form"},
		{"CN=", "value of CN: empty"},
		{"CN=  ,O=a", "value of CN: empty"},
		{"XX=a", `"XX" is no attribute`},
		{"3.1=a", "is no attribute"},
		{"1.40=a", "is no attribute"},
		{"2=a", "is no attribute"},
		{`CN="a"`, "must be escaped"},
		{"CN=a;O=b", "must be escaped"},
		{"CN=a\x00b", "must be escaped"},
		{`CN=a\`, "lone backslash"},
		{`CN=a\xy`, "is no escape"},
		{`CN=a\C`, "is no escape"},
		{"CN=#0401ff", "#hex"},
		{`CN=\FF`, "subject"},
		{"DC=bücher", "not ASCII"},
	} {
		if der, err := ParseSubject(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %x, %v; want %q", tc.text, der, err, tc.want)
		}
	}
}

// What dn prints of any name without control characters, ParseSubject reads
// back to the same bytes.
func TestASubjectPrintedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringMatching(`[ -~äß✓]{1,20}`).Filter(notHash), 1, 4).Draw(t, "values")
		types := []string{"CN", "O", "OU", "L", "TITLE"}
		var sequence pkix.RDNSequence
		for n, v := range values {
			sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: attributes[types[n]].oid, Value: v}})
		}
		der, err := asn1.Marshal(sequence)
		if err != nil {
			t.Fatal(err)
		}
		text, err := dn.String(der)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseSubject(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(der, again); diff != "" {
			t.Fatalf("%s\n%s", text, diff)
		}
	})
}

// notHash leaves out the one value that OpenSSL, hence dn, forgets to escape:
// a hash sign alone.
func notHash(s string) bool { return s != "#" }

func TestParseNames(t *testing.T) {
	got, err := ParseNames([]string{"dns:a.example", "DNS:*.b.example", "ip:192.0.2.7", "ip:::ffff:192.0.2.8", "ip:2001:db8::7",
		"uri:urn:dev:mac:0024befffe804ff1", "email:ops@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	uri, _ := url.Parse("urn:dev:mac:0024befffe804ff1")
	want := altname.Names{
		DNS: []string{"a.example", "*.b.example"}, URIs: []*url.URL{uri}, Emails: []string{"ops@example.com"},
		IPs: []net.IP{net.IPv4(192, 0, 2, 7), net.IPv4(192, 0, 2, 8), net.ParseIP("2001:db8::7")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, ip := range got.IPs[:2] {
		if len(ip) != 4 {
			t.Errorf("%s has %d bytes, want 4", ip, len(ip))
		}
	}
	// All faults at once.
	_, err = ParseNames([]string{"localhost", "host:a", "ip:a", "ip:fe80::1%eth0", "uri:%zz"})
	for _, want := range []string{"as in dns:localhost", `kind "host"`, `"ip:a": not an IP`, "eth0", "not a URI"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
