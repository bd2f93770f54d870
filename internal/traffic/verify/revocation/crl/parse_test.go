package crl_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// The compact parser must see what crypto/x509 sees.
func TestParseSeesWhatX509Sees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	reasons := []int{0, 1, 2, 3, 4, 5, 6, 9, 10}
	for _, kt := range []testpki.KeyType{testpki.P256, testpki.P384, testpki.P521, testpki.RSA2048, testpki.Ed25519} {
		root := testpki.NewRoot(t, "Root of "+string(kt), testpki.Key(kt))
		opts := []testpki.CRLOption{testpki.CRLNumber(r.Int64())}
		given := map[string]bool{}
		for range 300 {
			serial := make([]byte, 1+r.IntN(20))
			for i := range serial {
				serial[i] = byte(r.Uint32())
			}
			if r.IntN(5) == 0 {
				serial[0] = 0
			}
			if n := new(big.Int).SetBytes(serial); !given[n.String()] {
				given[n.String()] = true
				opts = append(opts, testpki.RevokeSerial(n, reasons[r.IntN(len(reasons))]))
			}
		}
		der := root.CRL(opts...)
		want, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		lists, err := crl.Parse("x.crl", der)
		if err != nil {
			t.Fatalf("%s: %v", kt, err)
		}
		got := lists[0]
		if got.Number.Cmp(want.Number) != 0 || !got.ThisUpdate.Equal(want.ThisUpdate) || !got.NextUpdate.Equal(want.NextUpdate) ||
			!bytes.Equal(got.RawIssuer, want.RawIssuer) || !bytes.Equal(got.AuthorityKeyID, want.AuthorityKeyId) || got.Len() != len(want.RevokedCertificateEntries) {
			t.Errorf("%s: got %+v", kt, got)
		}
		listed := map[string]bool{}
		for _, e := range want.RevokedCertificateEntries {
			listed[e.SerialNumber.String()] = true
			entry, ok := got.Lookup(e.SerialNumber)
			if !ok || !entry.RevokedAt.Equal(e.RevocationTime) || int(entry.Reason) != e.ReasonCode {
				t.Errorf("%s: serial %X: %+v %v; want %v reason %d", kt, e.SerialNumber, entry, ok, e.RevocationTime, e.ReasonCode)
			}
		}
		for _, e := range want.RevokedCertificateEntries {
			for _, d := range []int64{-1, 1} {
				n := new(big.Int).Add(e.SerialNumber, big.NewInt(d))
				if _, ok := got.Lookup(n); ok != listed[n.String()] {
					t.Errorf("%s: serial %X: found %v", kt, n, ok)
				}
			}
		}
		if !got.IssuedBy(root.X509) || got.IssuedBy(testpki.NewRoot(t, "Root of "+string(kt), testpki.Key(testpki.P256)).X509) {
			t.Errorf("%s: the signature is taken for another's", kt)
		}
	}
}

func TestParseFiles(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	a, b := root.CRL(testpki.CRLNumber(1)), root.CRL(testpki.CRLNumber(2))
	pem := string(testpki.CRLPEM(a, b))
	for name, tt := range map[string]struct {
		data string
		n    int
		want []string // parts of the error
	}{
		"DER":             {string(a), 1, nil},
		"PEM":             {string(testpki.CRLPEM(a)), 1, nil},
		"several":         {pem, 2, nil},
		"comment, blanks": {"# fleet\n\n" + pem + "\n\n", 2, nil},
		"empty":           {"", 0, []string{"no revocation list"}},
		"comment alone":   {"# nothing\n", 0, []string{"no revocation list"}},
		"DER and more":    {string(a) + "x", 0, []string{"1 bytes follow"}},
		"cut off":         {string(a[:len(a)-1]), 0, []string{fmt.Sprintf("cut off: it says that it has %d bytes, and %d are there", len(a), len(a)-1)}},
		"certificate":     {string(root.PEM()), 0, []string{`x.crl:1: a "CERTIFICATE" block`}},
		"garbage":         {"hello\n" + pem, 0, []string{`x.crl:1: neither PEM nor a comment: "hello"`}},
		"all at once":     {"hello\n" + pem + string(root.PEM()) + "-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n", 0, []string{"x.crl:1:", "CERTIFICATE", "malformed"}},
		"certificate DER": {string(root.X509.Raw), 0, []string{"x.crl: "}},
	} {
		t.Run(name, func(t *testing.T) {
			lists, err := crl.Parse("x.crl", []byte(tt.data))
			if len(lists) != tt.n || (err != nil) != (tt.want != nil) {
				t.Fatalf("%d lists, error %v", len(lists), err)
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v; want it to say %q", err, w)
				}
			}
		})
	}
}

// What cannot be honored exactly is refused when it is loaded.
func TestParseRefuses(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	rsa := testpki.NewRoot(t, "RSA", testpki.Key(testpki.RSA2048))
	ext := func(critical bool, value string, oid ...int) testpki.CRLOption {
		return testpki.CRLExtension(critical, []byte(value), oid...)
	}
	idp := func(content string) testpki.CRLOption {
		return ext(true, "\x30"+string(rune(len(content)))+content, 2, 5, 29, 28)
	}
	entry := func(critical bool, value string, oid ...int) testpki.CRLOption {
		return func(l *x509.RevocationList) {
			testpki.RevokeSerial(big.NewInt(7), 0)(l)
			e := &l.RevokedCertificateEntries[0]
			testpki.CRLExtension(critical, []byte(value), oid...)(l)
			e.ExtraExtensions, l.ExtraExtensions = l.ExtraExtensions, nil
		}
	}
	edit := func(f func(tbs []byte) []byte) []byte { return root.Resign(root.CRL(), f) }
	replace := func(old, new string) []byte {
		return edit(func(tbs []byte) []byte { return bytes.Replace(tbs, []byte(old), []byte(new), 1) })
	}
	reason := func(code string) []byte {
		return root.Resign(root.CRL(testpki.RevokeSerial(big.NewInt(7), 1)), func(tbs []byte) []byte {
			return bytes.Replace(tbs, []byte("\x0a\x01\x01"), []byte("\x0a\x01"+code), 1)
		})
	}
	list, err := x509.ParseRevocationList(root.CRL())
	if err != nil {
		t.Fatal(err)
	}
	utc := func(at time.Time) string { return "\x17\x0d" + at.UTC().Format("060102150405Z") }
	for name, tt := range map[string]struct {
		der  []byte
		want string
	}{
		"delta of its own number": {root.CRL(ext(true, "\x02\x01\x01", 2, 5, 29, 27)), "delta list, number 1, that changes list number 1"},
		"malformed base number":   {root.CRL(ext(true, "\x04\x01\x01", 2, 5, 29, 27)), "base number is malformed"},
		"endless number":          {root.CRL(ext(true, "\x02\x41\x01"+strings.Repeat("\x01", 64), 2, 5, 29, 27)), "base number is malformed"},
		"indirect":                {root.CRL(idp("\x84\x01\xff")), "indirect"},
		"attribute certificates":  {root.CRL(idp("\x85\x01\xff")), "attribute certificates"},
		"some reasons":            {root.CRL(idp("\x83\x02\x06\x40")), "some reasons"},
		"users and CAs":           {root.CRL(idp("\x81\x01\xff\x82\x01\xff")), "neither CA nor other"},
		"relative name":           {root.CRL(idp("\xa0\x02\xa1\x00")), "no full name"},
		"no URI":                  {root.CRL(idp("\xa0\x06\xa0\x04\x82\x02ab")), "no URI"},
		"bad boolean":             {root.CRL(idp("\x81\x01\x01")), "issuing distribution point is malformed"},
		"unknown critical":        {root.CRL(ext(true, "\x05\x00", 1, 2, 3)), "critical extension 1.2.3"},
		"unknown critical entry":  {root.CRL(entry(true, "\x05\x00", 1, 2, 3)), "critical extension 1.2.3"},
		"entry of another issuer": {root.CRL(entry(true, "\x30\x00", 2, 5, 29, 29)), "indirect"},
		"remove from list":        {reason("\x08"), "removeFromCRL"},
		"reason 7":                {reason("\x07"), "reason code"},
		"extension twice":         {root.CRL(ext(false, "\x02\x01\x01", 2, 5, 29, 20)), "twice"},
		"long serial":             {root.CRL(testpki.RevokeSerial(new(big.Int).Lsh(big.NewInt(1), 520), 0)), "66 octets"},
		"dates reversed":          {replace(utc(list.NextUpdate), utc(list.ThisUpdate.Add(-time.Minute))), "is before its thisUpdate"},
		"no nextUpdate": {edit(func(tbs []byte) []byte {
			return shorter(t, tbs, []byte(utc(list.NextUpdate)))
		}), "no nextUpdate"},
		"February 30":     {replace(utc(list.ThisUpdate), "\x17\x0d260230000000Z"), "thisUpdate: malformed"},
		"letters in date": {replace(utc(list.ThisUpdate), "\x17\x0dab0228000000Z"), "thisUpdate: malformed"},
		"local time":      {replace(utc(list.ThisUpdate), "\x17\x0d2602280000000"), "thisUpdate: malformed"},
		"version 3":       {replace("\x02\x01\x01", "\x02\x01\x02"), "version is 2"},
		"extensions in version 1": {edit(func(tbs []byte) []byte {
			return shorter(t, tbs, []byte("\x02\x01\x01"))
		}), "version 1 list"},
		"two algorithms": {replace("\x04\x03\x02", "\x04\x03\x03"), "two different signature algorithms"},
		"SHA-1": {bytes.ReplaceAll(rsa.CRL(), []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05")),
			"SHA-1"},
		"unknown algorithm": {bytes.ReplaceAll(rsa.CRL(), []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x7b")),
			"not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			lists, err := crl.Parse("x.crl", tt.der)
			if err == nil {
				t.Fatalf("accepted %v", lists[0])
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "x.crl: ") {
				t.Errorf("%v; want it to say %q", err, tt.want)
			}
		})
	}
}

// shorter removes part from a SEQUENCE and mends its length.
func shorter(t *testing.T, tbs, part []byte) []byte {
	t.Helper()
	var seq asn1.RawValue
	if _, err := asn1.Unmarshal(tbs, &seq); err != nil || !bytes.Contains(seq.Bytes, part) {
		t.Fatalf("no %x to remove (%v)", part, err)
	}
	out, err := asn1.Marshal(asn1.RawValue{Tag: seq.Tag, IsCompound: true, Bytes: bytes.Replace(seq.Bytes, part, nil, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A version 1 list (what `openssl ca -gencrl` makes by default) has neither
// number nor key identifier, and counts all the same.
func TestVersion1ListCounts(t *testing.T) {
	root := testpki.NewRoot(t, "Root")
	leaf := root.Client("device")
	der := root.Resign(root.CRL(testpki.Revoke(leaf)), func(tbs []byte) []byte {
		var seq asn1.RawValue
		if _, err := asn1.Unmarshal(tbs, &seq); err != nil {
			t.Fatal(err)
		}
		at := bytes.LastIndexByte(seq.Bytes, 0xa0) // crlExtensions
		for at > 0 && int(seq.Bytes[at+1])+at+2 != len(seq.Bytes) {
			at = bytes.LastIndexByte(seq.Bytes[:at], 0xa0)
		}
		out, err := asn1.Marshal(asn1.RawValue{Tag: seq.Tag, IsCompound: true, Bytes: seq.Bytes[3:at]})
		if err != nil {
			t.Fatal(err)
		}
		return out
	})
	lists, err := crl.Parse("v1.crl", der)
	if err != nil {
		t.Fatal(err)
	}
	l := lists[0]
	if _, ok := l.Lookup(leaf.X509.SerialNumber); !ok || l.Number != nil || l.AuthorityKeyID != nil || !l.IssuedBy(root.X509) {
		t.Errorf("%+v", l)
	}
}

func FuzzParse(f *testing.F) {
	root := testpki.NewRoot(f, "Root")
	f.Add(root.CRL(testpki.RevokeSerial(big.NewInt(0), 0), testpki.RevokeSerial(big.NewInt(300), 1)))
	f.Add(testpki.CRLPEM(root.CRL(), root.CRL()))
	f.Add(root.CRL(testpki.CRLExtension(true, []byte("\x30\x0b\xa0\x06\xa0\x04\x86\x02ab\x81\x01\xff"), 2, 5, 29, 28)))
	f.Add(root.CRL(testpki.CRLNumber(6), testpki.CRLExtension(true, []byte("\x02\x01\x05"), 2, 5, 29, 27), testpki.RevokeSerial(big.NewInt(300), 8)))
	f.Fuzz(func(t *testing.T, data []byte) {
		lists, err := crl.Parse("x.crl", data)
		if (err == nil) != (len(lists) > 0) {
			t.Fatalf("%d lists and error %v", len(lists), err)
		}
		for _, l := range lists {
			l.IssuedBy(root.X509)
			_ = l.String()
			if l.NextUpdate.Before(l.ThisUpdate) {
				t.Errorf("%v ends before it begins", l)
			}
		}
		if len(lists) != 1 || len(data) == 0 || data[0] != 0x30 {
			return
		}
		want, err := x509.ParseRevocationList(data)
		if err != nil {
			return // crypto/x509 refuses version 1 lists, for one
		}
		if lists[0].Len() != len(want.RevokedCertificateEntries) {
			t.Fatalf("%d entries, crypto/x509 sees %d", lists[0].Len(), len(want.RevokedCertificateEntries))
		}
		if l := lists[0]; !l.ThisUpdate.Equal(want.ThisUpdate) || !l.NextUpdate.Equal(want.NextUpdate) || !bytes.Equal(l.RawIssuer, want.RawIssuer) ||
			(l.Number == nil) != (want.Number == nil) || l.Number != nil && l.Number.Cmp(want.Number) != 0 {
			t.Fatalf("%+v; crypto/x509 sees %+v", l, want)
		}
		seen := map[string]int{}
		for _, e := range want.RevokedCertificateEntries {
			seen[e.SerialNumber.String()]++
		}
		for _, e := range want.RevokedCertificateEntries {
			got, ok := lists[0].Lookup(e.SerialNumber)
			if !ok && e.SerialNumber.Sign() >= 0 {
				t.Fatalf("serial %X is lost", e.SerialNumber)
			}
			if ok && seen[e.SerialNumber.String()] == 1 && (int(got.Reason) != e.ReasonCode || !got.RevokedAt.Equal(e.RevocationTime) && e.RevocationTime.Year() >= 1970 && e.RevocationTime.Year() < 2106) {
				t.Fatalf("serial %X: %+v; crypto/x509 sees %+v", e.SerialNumber, got, e)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	root := testpki.NewRoot(b, "Root")
	var opts []testpki.CRLOption
	for i := range 50000 {
		opts = append(opts, testpki.RevokeSerial(new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 120), big.NewInt(int64(i)*7919%50021)), 1))
	}
	der := root.CRL(opts...)
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := crl.Parse("x.crl", der); err != nil {
			b.Fatal(err)
		}
	}
}
