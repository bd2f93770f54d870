package san_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/wire/san"
)

func read(n san.Names) (all []string, err error) {
	for kind, value, ok := n.Next(); ok; kind, value, ok = n.Next() {
		all = append(all, fmt.Sprintf("%s %q", kind, value))
	}
	return all, n.Err()
}

func TestNamesKeepTheirKindAndBytes(t *testing.T) {
	c := testpki.NewRoot(t, "Root").Client("d",
		testpki.DNS("A.fleet.example"), testpki.Email("ops@fleet.example"), testpki.IP("192.0.2.1"), testpki.URI("spiffe://fleet/%7e"))
	got, err := read(san.Of(c.X509))
	want := []string{`DNS name "A.fleet.example"`, `e-mail address "ops@fleet.example"`, `IP address "\xc0\x00\x02\x01"`, `URI "spiffe://fleet/%7e"`}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	if got, err := read(san.Of(testpki.NewRoot(t, "Root").X509)); got != nil || err != nil {
		t.Errorf("without the extension: %s, %v", got, err)
	}
}

func TestWhatIsNoListOfNamesIsAnError(t *testing.T) {
	for name, der := range map[string]string{
		"empty":                       "",
		"no sequence":                 "\x04\x00",
		"bytes after it":              "\x30\x00\x00",
		"a name cut off":              "\x30\x02\x82\x05",
		"a universal tag":             "\x30\x03\x16\x01a",
		"a kind that there is not":    "\x30\x03\x89\x01a",
		"a string in pieces":          "\x30\x05\xa2\x03\x16\x01a",
		"a directory name, primitive": "\x30\x03\x84\x01a",
	} {
		if got, err := read(san.Parse([]byte(der))); err == nil {
			t.Errorf("%s: read as %s", name, got)
		}
	}
	if got, err := read(san.Parse([]byte("\x30\x08\x82\x01a\xa0\x03\x16\x01b"))); err != nil || len(got) != 2 {
		t.Errorf("a DNS name and an otherName: %s, %v", got, err)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	c := testpki.NewRoot(t, "Root").Client("d", testpki.DNS("a.example", "b.example"), testpki.URI("spiffe://a/b")).X509
	if n := testing.AllocsPerRun(100, func() {
		names := san.Of(c)
		for _, _, ok := names.Next(); ok; _, _, ok = names.Next() {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever is read is part of the input, in its order, and what crypto/x509
// takes from an extension that is read to its end is the same.
func FuzzNames(f *testing.F) {
	root := testpki.NewRoot(f, "Root")
	for _, c := range []*testpki.Certificate{
		root.Client("d", testpki.DNS("a.example"), testpki.URI("spiffe://a/b")),
		root.Client("d", testpki.Email("a@b.example"), testpki.IP("192.0.2.1")),
	} {
		for _, e := range c.X509.Extensions {
			if e.Id.Equal(san.OID) {
				f.Add(e.Value)
			}
		}
	}
	f.Add([]byte("\x30\x08\x82\x01a\xa0\x03\x16\x01b"))
	f.Fuzz(func(t *testing.T, der []byte) {
		n := san.Parse(der)
		var dns []string
		at := 0
		for kind, value, ok := n.Next(); ok; kind, value, ok = n.Next() {
			i := bytes.Index(der[at:], value)
			if i < 0 {
				t.Fatalf("%s %x is not in what is left of %x", kind, value, der)
			}
			at += i
			if kind == san.DNS {
				dns = append(dns, string(value))
			}
			_ = kind.String()
		}
		if n.Err() != nil {
			return
		}
		made, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1), ExtraExtensions: []pkix.Extension{{Id: san.OID, Value: der}},
		}, root.X509, root.Key.Public(), root.Key)
		if err != nil {
			t.Skip(err)
		}
		if theirs, err := x509.ParseCertificate(made); err == nil && fmt.Sprint(theirs.DNSNames) != fmt.Sprint(dns) {
			t.Errorf("crypto/x509 reads %q; we read %q", theirs.DNSNames, dns)
		}
	})
}
