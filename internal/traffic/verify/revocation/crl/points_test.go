package crl_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

var pointsOID = asn1.ObjectIdentifier{2, 5, 29, 31}

func eachPoint(c *x509.Certificate) (uris []string) {
	crl.EachPoint(c, func(uri []byte) bool { uris = append(uris, string(uri)); return false })
	return uris
}

func TestThePointsOfACertificate(t *testing.T) {
	want := []string{"http://crl.example.com/a.crl", "ldap:///cn=a"}
	c := testpki.NewRoot(t, "Fleet Root").Client("MacID-1", testpki.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = want })).X509
	if got := eachPoint(c); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	calls := 0
	if !crl.EachPoint(c, func([]byte) bool { calls++; return true }) || calls != 1 {
		t.Errorf("%d calls after one was enough", calls)
	}
	if n := testing.AllocsPerRun(100, func() { crl.EachPoint(c, func([]byte) bool { return false }) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever an extension holds: each URI is in it as it is told.
func FuzzEachPoint(f *testing.F) {
	c := testpki.NewRoot(f, "Fleet Root").Client("MacID-1", testpki.Template(func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"http://crl.example.com/a.crl", "http://crl.example.com/b.crl"}
	})).X509
	for _, e := range c.Extensions {
		if e.Id.Equal(pointsOID) {
			f.Add(e.Value)
		}
	}
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, value []byte) {
		c := &x509.Certificate{CRLDistributionPoints: []string{"http://a/"}, Extensions: []pkix.Extension{{Id: pointsOID, Value: value}}}
		for _, uri := range eachPoint(c) {
			if !bytes.Contains(value, []byte(uri)) {
				t.Errorf("%q is not in the extension", uri)
			}
		}
	})
}
