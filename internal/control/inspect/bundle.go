package inspect

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"math"

	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/wire/dn"
	"countersign.dev/internal/wire/pemscan"
)

// bundle reads a CA bundle as the gateway does, but for its limits, which are
// the configuration's, and says more about each certificate.
func (in *inspection) bundle(f *File, r io.Reader, secret map[int]bool) error {
	f.Kind = "bundle"
	data, err := io.ReadAll(io.LimitReader(r, mostBundle+1))
	if err != nil {
		return err
	}
	if len(data) > mostBundle {
		return fmt.Errorf("it has more than %d MiB and is no revocation list", mostBundle>>20)
	}
	certs, problems := verify.LoadBundle(f.Name, data, verify.Limits{
		CACertificates: math.MaxInt, CACertificateSize: math.MaxInt, SubjectSize: math.MaxInt, Now: in.o.Now,
	})
	for _, p := range problems {
		if secret[p.Line] {
			continue // said already, and louder
		}
		severity := Fault
		if p.Warning {
			severity = Warning
		}
		in.add(Finding{File: f.Name, Line: p.Line, Severity: severity, What: p.What, Want: p.Want, Hint: p.Hint})
	}
	lines := map[string]int{}
	for _, e := range pemscan.Scan(data) {
		if _, seen := lines[string(e.Bytes)]; e.Kind == pemscan.Block && !seen {
			lines[string(e.Bytes)] = e.Line
		}
	}
	for _, c := range certs {
		line := lines[string(c.Raw)]
		f.Certificates = append(f.Certificates, Certificate{
			Line: line, Subject: subject(c.RawSubject), Issuer: subject(c.RawIssuer), Serial: dn.Serial(c.SerialNumber),
			NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Key: key(c), Signature: c.SignatureAlgorithm.String(),
			Fingerprint: fmt.Sprintf("sha256:%x", sha256.Sum256(c.Raw)), file: f.Name, x509: c,
		})
		in.certificate(f.Name, line, c)
	}
	return nil
}

// certificate says what LoadBundle does not: it cannot know the trust store's
// key rules, and does not look ahead.
func (in *inspection) certificate(file string, line int, c *x509.Certificate) {
	who := describe.Certificate(c)
	warn := func(hint, format string, args ...any) {
		in.add(Finding{File: file, Line: line, Severity: Warning, What: who + fmt.Sprintf(format, args...), Hint: hint})
	}
	fault := func(want, hint, format string, args ...any) {
		in.add(Finding{File: file, Line: line, Severity: Fault, What: who + fmt.Sprintf(format, args...), Want: want, Hint: hint})
	}
	if in.o.Now.After(c.NotBefore) && in.o.Now.Before(c.NotAfter) && c.NotAfter.Sub(in.o.Now) < in.o.Soon {
		warn("put its successor beside it now, so that clients can change over", " expires on %s", describe.Date(c.NotAfter))
	}
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		switch n := k.N.BitLen(); {
		case n < 2048:
			fault("2048 to 8192 bits", "replace the CA; its certificates can be forged", " has an RSA key of %d bits", n)
		case n > 8192:
			fault("2048 to 8192 bits", "replace the CA by one with a smaller key", " has an RSA key of %d bits", n)
		}
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < 256 {
			fault("P-256, P-384 or P-521", "replace the CA", " has a key on the curve %s", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
		warn("it needs keys.ed25519 of the trust store; AWS has no Ed25519", " has an Ed25519 key")
	default:
		fault("RSA or ECDSA", "replace the CA", " has a key of a type that is not supported")
	}
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.MD5WithRSA, x509.MD2WithRSA:
		warn("as an anchor that does no harm, since nobody checks it; but see whether the CA signs clients' certificates so, which are refused",
			" is signed with %s", c.SignatureAlgorithm)
	}
	if selfIssued(c) && c.BasicConstraintsValid && c.MaxPathLen == 0 {
		warn("clients below an intermediate CA of it are refused", " allows no intermediate CA below it (path length 0)")
	}
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

func subject(der []byte) string {
	if s, err := dn.String(der); err == nil {
		return s
	}
	return describe.Name(der)
}

func key(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}
