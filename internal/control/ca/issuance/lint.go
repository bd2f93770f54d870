package issuance

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"
)

// maxBackdate bounds how far before now a certificate may begin.
const maxBackdate = time.Hour

var (
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidAuthorityKeyID   = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// lint checks the certificate c, as encoded, against RFC 5280, the request and
// its profile. It returns every fault.
func (i *Issuer) lint(c *x509.Certificate, r Request) []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	p := r.Profile

	check(c.Version == 3, "version is %d: expected 3 (RFC 5280 section 4.1.2.1)", c.Version)
	check(c.SerialNumber.Sign() > 0 && c.SerialNumber.BitLen() > 64 && c.SerialNumber.BitLen() < 160,
		"serial number %X: expected a positive number of more than 64 random bits and at most 20 octets (RFC 5280 section 4.1.2.2)", c.SerialNumber)
	now := i.now()
	check(c.NotBefore.Before(c.NotAfter), "it would end (%s) before it begins (%s)", c.NotAfter, c.NotBefore)
	check(!c.NotBefore.After(now) && now.Sub(c.NotBefore) <= maxBackdate,
		"it would begin on %s: expected within the hour before now", c.NotBefore)

	check(bytes.Equal(c.RawSubject, r.Subject) || r.anonymous() && string(c.RawSubject) == emptyName, "the subject is not the requested one")
	got := Names{DNS: c.DNSNames, URIs: c.URIs, Emails: c.EmailAddresses, IPs: c.IPAddresses}
	check(got.Len() == r.Names.Len() && len(got.Check(p == Server)) == 0, "the alternative names are not the requested ones")
	faults = append(faults, lintExtensions(c, r)...)
	id, err := keyID(r.PublicKey)
	check(err == nil && bytes.Equal(c.SubjectKeyId, id), "the subject key identifier is not that of the key")
	if i.certificate != nil {
		issuer := i.certificate
		check(bytes.Equal(c.RawIssuer, issuer.RawSubject), "the issuer's name is not that of the authority")
		check(bytes.Equal(c.AuthorityKeyId, issuer.SubjectKeyId) && len(c.AuthorityKeyId) > 0,
			"the authority key identifier is not that of the authority (RFC 5280 section 4.2.1.1)")
		check(!c.NotBefore.Before(issuer.NotBefore) && !c.NotAfter.After(issuer.NotAfter), "its validity is not within the authority's")
		check(!bytes.Equal(c.RawSubject, issuer.RawSubject), "the subject is the authority's own name")
		check(!sameKey(c.PublicKey, issuer.PublicKey), "the key is the authority's own")
	}
	return faults
}

// lintExtensions demands each extension of the profile as it ought to be, and no other.
func lintExtensions(c *x509.Certificate, r Request) []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	p := r.Profile
	expect := []pkix.Extension{
		{Id: oidKeyUsage, Critical: true}, // section 4.2.1.3: "SHOULD mark ... critical"
		{Id: oidBasicConstraints, Critical: true},
		{Id: oidSubjectKeyID},
	}
	if p != Root {
		expect = append(expect, pkix.Extension{Id: oidAuthorityKeyID})
	}
	if !p.IsCA() {
		expect = append(expect, pkix.Extension{Id: oidExtKeyUsage})
	}
	if r.Names.Len() > 0 {
		// Section 4.2.1.6: critical when the subject is empty.
		expect = append(expect, pkix.Extension{Id: oidSubjectAltName, Critical: r.anonymous()})
	}
	for _, want := range expect {
		n := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(want.Id) })
		check(n >= 0 && c.Extensions[n].Critical == want.Critical, "the extension %s is missing, or critical=%t is not so", want.Id, want.Critical)
	}
	check(len(c.Extensions) == len(expect), "it has %d extensions: expected %d", len(c.Extensions), len(expect))

	check(c.KeyUsage == p.KeyUsage(), "key usage %b is not the profile's", c.KeyUsage)
	check(slices.Equal(c.ExtKeyUsage, p.ExtKeyUsage()) && len(c.UnknownExtKeyUsage) == 0, "extended key usage is not the profile's")
	check(c.BasicConstraintsValid && c.IsCA == p.IsCA(), "basic constraints are not the profile's")
	if p.IsCA() {
		check(c.MaxPathLen == p.pathLen(), "path length %d: expected %d", c.MaxPathLen, p.pathLen())
	}
	return faults
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// subjectPublicKey returns the key's own bits within a SubjectPublicKeyInfo
// (RFC 5280 section 4.1.2.7).
func subjectPublicKey(spki []byte) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if rest, err := asn1.Unmarshal(spki, &info); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("the public key has no SubjectPublicKeyInfo: %w", err)
	}
	return info.PublicKey.RightAlign(), nil
}
