// Package describe names certificates in messages to the operator.
//
// Refusals are read by somebody who has only the log: they must say which
// certificate it was, who issued it, and when. Names are what OpenSSL prints,
// printable ASCII with everything else escaped, so that a subject cannot forge a
// log line, and can be searched for as the headers and openssl show it.
package describe

import (
	"crypto/x509"
	"fmt"
	"time"

	"countersign.dev/internal/wire/dn"
)

// Certificate tells c from every other one: subject, serial number, issuer.
func Certificate(c *x509.Certificate) string {
	return fmt.Sprintf("%s (serial %s, issued by %s)", Subject(c), dn.Serial(c.SerialNumber), Issuer(c))
}

// Subject returns c's subject in quotes.
func Subject(c *x509.Certificate) string { return Name(c.RawSubject) }

// Issuer returns c's issuer in quotes.
func Issuer(c *x509.Certificate) string { return Name(c.RawIssuer) }

// Name returns a distinguished name, given in DER, in quotes.
func Name(der []byte) string {
	const most = 400 // a subject may be 64 KiB long, a line in a log should not
	s, err := dn.String(der)
	switch {
	case err != nil:
		s = fmt.Sprintf("#%X", der[:min(len(der), most)]) // as RFC 4514 writes what has no text
	case s == "":
		return "a certificate with an empty name"
	}
	if len(s) > most {
		s = s[:most] + "..."
	}
	return `"` + s + `"`
}

// Date returns t in UTC to the second.
func Date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
