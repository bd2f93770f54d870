package testpki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"time"
)

// A CRLOption changes one thing about a revocation list to be made.
type CRLOption func(*x509.RevocationList)

// CRL makes a revocation list signed by c, in DER: number 1, issued an hour
// ago, next one due in a day, empty unless an option says otherwise.
func (c *Certificate) CRL(opts ...CRLOption) []byte {
	c.tb.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(24 * time.Hour)}
	for _, o := range opts {
		o(list)
	}
	// CreateRevocationList refuses issuers that may not sign lists; tests want such lists.
	issuer := *c.X509
	issuer.KeyUsage |= x509.KeyUsageCRLSign
	if len(issuer.SubjectKeyId) == 0 {
		issuer.SubjectKeyId = []byte{1}
	}
	der, err := x509.CreateRevocationList(random, list, &issuer, c.Key)
	if err != nil {
		c.tb.Fatalf("testpki: revocation list of %s: %v", c.X509.Subject, err)
	}
	return der
}

// Revoke puts certificates on the list, an hour ago, without a reason.
func Revoke(certs ...*Certificate) CRLOption {
	return func(l *x509.RevocationList) {
		for _, c := range certs {
			RevokeSerial(c.X509.SerialNumber, 0)(l)
		}
	}
}

// RevokeSerial puts one serial number on the list with a reason code of
// RFC 5280 section 5.3.1; 0: without one.
func RevokeSerial(serial *big.Int, reason int) CRLOption {
	return func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: time.Now().Add(-time.Hour).UTC().Truncate(time.Second), ReasonCode: reason})
	}
}

// CRLNumber sets the list's number.
func CRLNumber(n int64) CRLOption {
	return func(l *x509.RevocationList) { l.Number = big.NewInt(n) }
}

// CRLValid sets thisUpdate and nextUpdate.
func CRLValid(this, next time.Time) CRLOption {
	return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = this, next }
}

// CRLExtension adds an extension with any content.
func CRLExtension(critical bool, value []byte, oid ...int) CRLOption {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier(oid), Critical: critical, Value: value})
	}
}

// CRLPEM wraps revocation lists in PEM.
func CRLPEM(ders ...[]byte) []byte {
	var b []byte
	for _, der := range ders {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
	}
	return b
}
