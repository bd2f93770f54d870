package verify

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"countersign.dev/internal/traffic/verify/constraint"
	"countersign.dev/internal/traffic/verify/describe"
	"countersign.dev/internal/wire/pemscan"
)

// Limits bounds a CA bundle. Zero fields take AWS's quotas for a trust store
// (Elastic Load Balancing user guide, "Quotas for your Application Load Balancers").
type Limits struct {
	CACertificates    int // how many; 0: 25
	CACertificateSize int // bytes of DER each; 0: 16 KiB
	// SubjectSize is what the subjects may take in a certificate_authorities
	// list: the sum of len(DER)+2. 0: 10000 bytes.
	SubjectSize int
	// Now is the moment for warnings about validity; zero: time.Now().
	Now time.Time
}

func (l Limits) withDefaults() Limits {
	if l.CACertificates == 0 {
		l.CACertificates = 25
	}
	if l.CACertificateSize == 0 {
		l.CACertificateSize = 16 << 10
	}
	if l.SubjectSize == 0 {
		l.SubjectSize = 10000
	}
	if l.Now.IsZero() {
		l.Now = time.Now()
	}
	return l
}

// LoadBundle reads a CA bundle under AWS's rules: PEM certificates and comments,
// nothing else. It returns every problem of the file at once, in the order of
// lines; the certificates are usable only if each problem is a warning. Where
// AWS refuses what does no harm (blank lines, "-" in a comment), we warn.
func LoadBundle(name string, data []byte, l Limits) ([]*x509.Certificate, []Problem) {
	b := &bundle{name: name, limits: l.withDefaults(), seen: map[string]int{}}
	b.read(data)
	return b.certs, b.problems
}

type bundle struct {
	name     string
	limits   Limits
	certs    []*x509.Certificate
	seen     map[string]int // DER to line
	subjects int
	problems []Problem
}

func (b *bundle) fault(line int, hint, want, format string, args ...any) {
	b.problems = append(b.problems, Problem{Name: b.name, Line: line, What: fmt.Sprintf(format, args...), Want: want, Hint: hint})
}

func (b *bundle) warn(line int, hint, format string, args ...any) {
	b.problems = append(b.problems, Problem{Name: b.name, Line: line, What: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

func (b *bundle) read(data []byte) {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		b.fault(0, "", "at least one PEM certificate of a CA", "the bundle is empty")
		return
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		b.fault(1, "save it as UTF-8 without a byte order mark", "PEM", "the bundle begins with a byte order mark")
		data = data[3:]
	case data[0] == 0x30 && !bytes.Contains(data, []byte("-----BEGIN ")):
		b.fault(0, "convert it: openssl x509 -inform DER -in FILE -out FILE.pem", "PEM", "the bundle is binary, probably a DER certificate")
		return
	}
	blocks := 0
	for _, e := range pemscan.Scan(data) {
		switch e.Kind {
		case pemscan.Block:
			blocks++
			b.block(e)
		case pemscan.Broken:
			blocks++
			b.fault(e.Line, "copy the certificate again from its source", "a whole PEM block", "the %q block that begins here is damaged: %s", e.Type, e.Text)
		case pemscan.Blank:
			b.warn(e.Line, "AWS refuses bundles with blank lines: remove them if the same file shall serve there", "%s blank", lines(e.Line, e.Lines))
		case pemscan.Comment:
			if strings.Contains(e.Text, "-") {
				b.warn(e.Line, "AWS refuses such bundles: reword the comment if the same file shall serve there", `the comment %s contains "-"`, pemscan.Excerpt(e.Text))
			}
		case pemscan.Stray:
			hint := "remove it, or begin each such line with #"
			if isTextDump(e.Text) {
				hint = "leave openssl's -text out, or filter the file: openssl x509 -in FILE -out FILE.pem, once for each certificate"
			}
			b.fault(e.Line, hint, "PEM certificates and comments alone", "%s no PEM: %s", lines(e.Line, e.Lines), pemscan.Excerpt(e.Text))
		}
	}
	if blocks == 0 {
		b.fault(0, "", "at least one PEM certificate of a CA", "there is no PEM block in the bundle")
	}
	b.total()
}

func lines(first, n int) string {
	if n == 1 {
		return fmt.Sprintf("line %d is", first)
	}
	return fmt.Sprintf("lines %d to %d are", first, first+n-1)
}

// isTextDump recognizes what openssl prints around PEM with -text or from PKCS#12.
func isTextDump(line string) bool {
	for _, p := range []string{"Certificate:", "subject=", "issuer=", "Bag Attributes"} {
		if strings.HasPrefix(strings.TrimSpace(line), p) {
			return true
		}
	}
	return false
}

func (b *bundle) block(e pemscan.Element) {
	switch {
	case e.Type == "CERTIFICATE":
		b.certificate(e)
	case strings.HasSuffix(e.Type, "PRIVATE KEY"):
		b.fault(e.Line, "take it out, and treat it as disclosed if this file went anywhere", "certificates alone", "a private key (%q) is in the bundle", e.Type)
	case e.Type == "TRUSTED CERTIFICATE":
		b.fault(e.Line, "convert it: openssl x509 -in FILE -out FILE.pem", "CERTIFICATE blocks alone", "a block in OpenSSL's own format (%q) is in the bundle", e.Type)
	case e.Type == "PKCS7":
		b.fault(e.Line, "unpack it: openssl pkcs7 -in FILE -print_certs", "CERTIFICATE blocks alone", "a PKCS#7 block is in the bundle")
	case e.Type == "X509 CRL":
		b.fault(e.Line, "name it under revocation.crls instead", "CERTIFICATE blocks alone", "a revocation list is in the bundle")
	default:
		b.fault(e.Line, "take it out", "CERTIFICATE blocks alone", "a %q block is in the bundle", e.Type)
	}
}

func (b *bundle) certificate(e pemscan.Element) {
	if n := len(e.Bytes); n > b.limits.CACertificateSize {
		b.fault(e.Line, "", fmt.Sprintf("at most %d bytes", b.limits.CACertificateSize), "the certificate has %d bytes", n)
		return
	}
	if first, dup := b.seen[string(e.Bytes)]; dup {
		b.fault(e.Line, "remove one of them", "each certificate once", "the certificate is the one of line %d again", first)
		return
	}
	b.seen[string(e.Bytes)] = e.Line
	c, err := x509.ParseCertificate(e.Bytes)
	if err != nil {
		b.fault(e.Line, "", "an X.509 version 3 certificate in DER", "the certificate does not parse: %v", err)
		return
	}
	b.certs = append(b.certs, c)
	b.subjects += len(c.RawSubject) + 2
	for _, p := range anchorProblems(c, b.limits.Now) {
		p.Name, p.Line = b.name, e.Line
		b.problems = append(b.problems, p)
	}
}

func (b *bundle) total() {
	if n := len(b.certs); n > b.limits.CACertificates {
		b.fault(0, "spread them over several trust stores, or raise the limit", fmt.Sprintf("at most %d", b.limits.CACertificates), "the bundle has %d CA certificates", n)
	}
	if b.subjects > b.limits.SubjectSize {
		b.fault(0, "spread the CAs over several trust stores, or raise the limit", fmt.Sprintf("at most %d", b.limits.SubjectSize),
			"the CAs' subjects take %d bytes", b.subjects)
	}
}

// anchorProblems says what keeps c from being a trust anchor. A leaf as anchor
// would let whoever holds its key issue certificates (CVE-2024-2048).
func anchorProblems(c *x509.Certificate, now time.Time) []Problem {
	var ps []Problem
	fault := func(hint, want, format string, args ...any) {
		ps = append(ps, Problem{What: fmt.Sprintf(format, args...), Want: want, Hint: hint})
	}
	who := describe.Subject(c)
	switch {
	case string(c.RawSubject) == "0\x00":
		fault("let the CA have a name", "a subject (RFC 5280 section 4.1.2.6)", "the certificate has no subject, so that nothing can name it as its issuer")
	case c.Version != 3:
		fault("let the CA issue a version 3 certificate for the same key", "version 3", "%s is an X.509 version %d certificate", who, c.Version)
	case !c.BasicConstraintsValid || !c.IsCA:
		fault("put the certificate of the CA that issued it here instead", "basic constraints with CA:TRUE", "%s is no CA certificate", who)
	case hasExtension(c, oidKeyUsage) && c.KeyUsage&x509.KeyUsageCertSign == 0:
		fault("put the certificate of the CA that issues to clients here instead", "key usage keyCertSign", "the key usage of %s does not let it sign certificates", who)
	}
	unknown := constraint.Unknown(c)
	if unknown != "" {
		fault("nothing below it could be verified", "name constraints that can be honored", "%s: %s", who, unknown)
	}
	for _, oid := range c.UnhandledCriticalExtensions {
		if unknown != "" && oid.Equal(oidNameConstraints) {
			continue
		}
		fault("nothing below it could be verified", "extensions of RFC 5280", "%s has the critical extension %v, which is not understood here", who, oid)
	}
	switch {
	case now.After(c.NotAfter):
		ps = append(ps, Problem{Warning: true, What: fmt.Sprintf("%s expired on %s", who, describe.Date(c.NotAfter)), Hint: "clients below it are refused until it is replaced"})
	case now.Before(c.NotBefore):
		ps = append(ps, Problem{Warning: true, What: fmt.Sprintf("%s is not valid before %s", who, describe.Date(c.NotBefore)), Hint: "clients below it are refused until then"})
	}
	return ps
}
