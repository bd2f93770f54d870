package servercert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign.dev/internal/traffic/handshake/servername"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/wire/pemscan"
)

// A Certificate is what a listener proves its own identity with.
type Certificate struct {
	TLS   tls.Certificate // with Leaf
	Names []string        // that it is for, in normal form, "*.example.com" among them
}

// A Problem is something wrong, or doubtful, with a certificate or its key:
// Name is "cert" or "key", for the caller to replace by the file's.
type Problem = verify.Problem

// Load reads a certificate with its intermediates, and its private
// key. It returns every problem at once; the Certificate may be used only if
// each of them is a warning. Intermediates in the wrong order are put right.
func Load(certPEM, keyPEM []byte) (Certificate, []Problem) {
	l := &loader{now: time.Now()}
	own, ok := l.pair(certPEM, keyPEM)
	if !ok {
		return Certificate{}, l.problems
	}
	l.leaf(own.Leaf, serving)
	return Certificate{TLS: own, Names: l.names(own.Leaf)}, l.problems
}

// LoadClient is Load for the certificate that is shown to targets.
func LoadClient(certPEM, keyPEM []byte) (tls.Certificate, []Problem) {
	l := &loader{now: time.Now()}
	own, ok := l.pair(certPEM, keyPEM)
	if ok {
		l.leaf(own.Leaf, calling)
	}
	return own, l.problems
}

// A purpose is what the owner of a certificate does with it.
type purpose struct {
	usage     x509.ExtKeyUsage
	name, who string
}

var (
	serving = purpose{x509.ExtKeyUsageServerAuth, "serverAuth", "servers"}
	calling = purpose{x509.ExtKeyUsageClientAuth, "clientAuth", "clients"}
)

// pair reads a certificate with its intermediates and its key.
func (l *loader) pair(certPEM, keyPEM []byte) (own tls.Certificate, ok bool) {
	certs := l.certificates(certPEM)
	key := l.key(keyPEM)
	if len(certs) == 0 || key == nil {
		return own, false
	}
	chain := l.order(certs, key)
	if chain == nil {
		return own, false
	}
	own = tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		own.Certificate = append(own.Certificate, x.Raw)
	}
	return own, true
}

type loader struct {
	now      time.Time
	problems []Problem
}

func (l *loader) fault(file string, line int, want, hint, format string, args ...any) {
	l.problems = append(l.problems, Problem{Name: file, Line: line, What: fmt.Sprintf(format, args...), Want: want, Hint: hint})
}

func (l *loader) warn(file string, line int, hint, format string, args ...any) {
	l.problems = append(l.problems, Problem{Name: file, Line: line, What: fmt.Sprintf(format, args...), Hint: hint, Warning: true})
}

// certificates reads the CERTIFICATE blocks. A private key beside them is
// fine (many programs want one file), text between them too.
func (l *loader) certificates(data []byte) []*x509.Certificate {
	var certs []*x509.Certificate
	before := len(l.problems)
	for _, e := range pemscan.Scan(data) {
		switch {
		case e.Kind == pemscan.Broken && !strings.HasSuffix(e.Type, "PRIVATE KEY"):
			l.fault("cert", e.Line, "a whole PEM block", "copy it again from its source", "the %q block that begins here is damaged: %s", e.Type, e.Text)
		case e.Kind == pemscan.Block && e.Type == "CERTIFICATE":
			c, err := x509.ParseCertificate(e.Bytes)
			if err != nil {
				l.fault("cert", e.Line, "an X.509 certificate in DER", "", "the certificate does not parse: %v", err)
				continue
			}
			if slices.ContainsFunc(certs, c.Equal) {
				l.warn("cert", e.Line, "remove one of them", "the certificate of %s is there twice; one is sent", subject(c))
				continue
			}
			certs = append(certs, c)
		}
	}
	if len(certs) == 0 && len(l.problems) == before {
		hint := ""
		if len(data) > 0 && data[0] == 0x30 {
			hint = "if it is DER, convert it: openssl x509 -inform DER -in FILE -out FILE.pem"
		} else if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
			hint = "it holds a private key: cert and key may have been swapped"
		}
		l.fault("cert", 0, `at least one PEM block "CERTIFICATE"`, hint, "there is no certificate in it")
	}
	return certs
}

// key reads the one private key.
func (l *loader) key(data []byte) crypto.Signer {
	var keys []pemscan.Element
	for _, e := range pemscan.Scan(data) {
		if (e.Kind == pemscan.Block || e.Kind == pemscan.Broken) && strings.HasSuffix(e.Type, "PRIVATE KEY") {
			keys = append(keys, e)
		}
	}
	switch {
	case len(keys) == 0:
		hint := ""
		if bytes.Contains(data, []byte("-----BEGIN CERTIFICATE-----")) {
			hint = "it holds a certificate: cert and key may have been swapped"
		}
		l.fault("key", 0, `one PEM block "PRIVATE KEY"`, hint, "there is no private key in it")
		return nil
	case len(keys) > 1:
		l.fault("key", keys[1].Line, "one", "leave the one that belongs to the certificate", "there are %d private keys in it", len(keys))
		return nil
	}
	e := keys[0]
	// The older of the two ways to encrypt a key says so in a header (RFC 1421
	// section 4.6.1.1), which pemscan calls damage.
	if e.Type == "ENCRYPTED PRIVATE KEY" || bytes.Contains(data, []byte("Proc-Type: 4,ENCRYPTED")) {
		l.fault("key", e.Line, "a key without passphrase, readable by this program alone", "openssl pkey -in FILE -out FILE.plain", "the private key is encrypted")
		return nil
	}
	if e.Kind == pemscan.Broken {
		l.fault("key", e.Line, "a whole PEM block", "copy it again from its source", "the private key is damaged: %s", e.Text)
		return nil
	}
	key, err := parseKey(e.Bytes)
	if err != nil {
		l.fault("key", e.Line, "an RSA, ECDSA or Ed25519 key in PKCS#8, PKCS#1 or SEC 1", "", "the private key does not parse: %v", err)
		return nil
	}
	return key
}

func parseKey(der []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch k := k.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("a key of type %T does not sign TLS handshakes", k)
}

// order returns the leaf, which is the certificate of the key, and after it
// each one's issuer (RFC 8446 section 4.4.2). Nil: none belongs to the key.
func (l *loader) order(certs []*x509.Certificate, key crypto.Signer) []*x509.Certificate {
	at := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
		public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(key.Public())
	})
	if at < 0 {
		l.fault("key", 0, fmt.Sprintf("the private key of %s", subject(certs[0])), "", "the private key does not belong to the certificate")
		return nil
	}
	chain := []*x509.Certificate{certs[at]}
	rest := slices.Delete(slices.Clone(certs), at, at+1)
	for {
		last := chain[len(chain)-1]
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if next < 0 {
			break
		}
		chain = append(chain, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	for _, c := range rest {
		l.warn("cert", 0, "remove it", "%s is no issuer of %s; it is not sent", subject(c), subject(chain[0]))
	}
	if !slices.Equal(chain, certs[:len(chain)]) {
		l.warn("cert", 0, "put the certificate of the key first, then each one's issuer", "the certificates are in the wrong order; they are sent in the right one")
	}
	return chain
}

// leaf warns of what makes the other side refuse the certificate.
func (l *loader) leaf(c *x509.Certificate, p purpose) {
	switch {
	case l.now.After(c.NotAfter):
		l.warn("cert", 0, "renew it", "%s expired on %s", subject(c), c.NotAfter.UTC().Format(time.RFC3339))
	case l.now.Before(c.NotBefore):
		l.warn("cert", 0, "check the clock", "%s is not valid before %s", subject(c), c.NotBefore.UTC().Format(time.RFC3339))
	}
	restricted := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0
	if restricted && !slices.Contains(c.ExtKeyUsage, p.usage) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		l.warn("cert", 0, "let it be issued with extended key usage "+p.name, "%s is not for %s (extended key usage)", subject(c), p.who)
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		l.warn("cert", 0, "let it be issued with key usage digitalSignature", "%s must not sign handshakes (key usage)", subject(c))
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		l.warn("cert", 0, "use 2048 bits or more, or ECDSA", "%s has an RSA key of %d bits", subject(c), k.N.BitLen())
	}
}

// names returns the DNS names and addresses of the certificate.
func (l *loader) names(c *x509.Certificate) []string {
	dns := c.DNSNames
	if len(dns) == 0 && len(c.IPAddresses) == 0 {
		l.warn("cert", 0, "let it be issued with a subjectAltName", "%s has no subjectAltName; most clients refuse it (RFC 9525 section 6.3)", subject(c))
		if c.Subject.CommonName != "" {
			dns = []string{c.Subject.CommonName}
		}
	}
	var names []string
	for _, d := range dns {
		host, wild := strings.CutPrefix(d, "*.")
		normal, err := servername.Normalize(host)
		if err != nil || normal == "" {
			l.warn("cert", 0, "", "%s is for a name that no client can ask for: %s", subject(c), strconv.Quote(d))
			continue
		}
		if wild {
			normal = "*." + normal
		}
		names = append(names, normal)
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func subject(c *x509.Certificate) string { return strconv.Quote(c.Subject.String()) }
