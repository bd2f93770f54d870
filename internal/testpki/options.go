package testpki

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"time"
)

var random = rand.Reader

// An Option changes one thing about a certificate to be made. A later Option
// wins over an earlier one.
type Option func(*spec)

type spec struct {
	template  *x509.Certificate
	keyType   KeyType
	key       crypto.Signer
	public    crypto.PublicKey
	edit      func(tbs []byte) []byte
	algorithm *algorithm
}

// Template lets f change any field of the template: the Option for whatever
// has none of its own.
func Template(f func(*x509.Certificate)) Option { return func(s *spec) { f(s.template) } }

func authority(lifetime time.Duration) Option {
	return func(s *spec) {
		s.template.IsCA = true
		s.template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		s.template.NotBefore = s.template.NotBefore.Add(-23 * time.Hour)
		s.template.NotAfter = s.template.NotBefore.Add(lifetime)
	}
}

// Validity.

// Valid sets NotBefore and NotAfter.
func Valid(from, to time.Time) Option {
	return func(s *spec) { s.template.NotBefore, s.template.NotAfter = from, to }
}

// Expired makes a certificate that ended an hour ago.
func Expired() Option {
	return Valid(time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour))
}

// NotYetValid makes a certificate that begins in an hour.
func NotYetValid() Option {
	return Valid(time.Now().Add(time.Hour), time.Now().Add(48*time.Hour))
}

// Usage.

// EKU sets the extended key usages; none given: no such extension.
func EKU(usages ...x509.ExtKeyUsage) Option {
	return func(s *spec) { s.template.ExtKeyUsage = usages }
}

// UnknownEKU adds an extended key usage that nobody knows.
func UnknownEKU(oid ...int) Option {
	return func(s *spec) {
		s.template.UnknownExtKeyUsage = append(s.template.UnknownExtKeyUsage, oid)
	}
}

// KeyUsage sets the key usage; 0: no such extension.
func KeyUsage(u x509.KeyUsage) Option { return func(s *spec) { s.template.KeyUsage = u } }

// IsCA says whether basic constraints call the certificate an authority.
func IsCA(ca bool) Option {
	return func(s *spec) { s.template.IsCA, s.template.BasicConstraintsValid = ca, true }
}

// NoBasicConstraints leaves that extension out.
func NoBasicConstraints() Option {
	return func(s *spec) { s.template.IsCA, s.template.BasicConstraintsValid = false, false }
}

// MaxPathLen limits how many intermediates may follow.
func MaxPathLen(n int) Option {
	return func(s *spec) { s.template.MaxPathLen, s.template.MaxPathLenZero = n, n == 0 }
}

// PermittedDNS and ExcludedDNS set critical name constraints.
func PermittedDNS(domains ...string) Option {
	return func(s *spec) {
		s.template.PermittedDNSDomains, s.template.PermittedDNSDomainsCritical = domains, true
	}
}

// ExcludedDNS: see PermittedDNS.
func ExcludedDNS(domains ...string) Option {
	return func(s *spec) {
		s.template.ExcludedDNSDomains, s.template.PermittedDNSDomainsCritical = domains, true
	}
}

// Policies sets certificate policies, each an object identifier such as "2.23.140.1.2.1".
func Policies(oids ...string) Option {
	return func(s *spec) {
		for _, o := range oids {
			oid, err := x509.ParseOID(o)
			if err != nil {
				panic(err)
			}
			s.template.Policies = append(s.template.Policies, oid)
		}
	}
}

// Extension adds an extension with any content.
func Extension(critical bool, value []byte, oid ...int) Option {
	return func(s *spec) {
		s.template.ExtraExtensions = append(s.template.ExtraExtensions,
			pkix.Extension{Id: asn1.ObjectIdentifier(oid), Critical: critical, Value: value})
	}
}

// Names.

// Subject replaces the whole subject.
func Subject(n pkix.Name) Option { return func(s *spec) { s.template.Subject = n } }

// RawSubject sets the DER of the subject, whatever it is.
func RawSubject(der []byte) Option { return func(s *spec) { s.template.RawSubject = der } }

// OU sets the organizational units.
func OU(units ...string) Option {
	return func(s *spec) { s.template.Subject.OrganizationalUnit = units }
}

// DNS sets DNS subject alternative names.
func DNS(names ...string) Option { return func(s *spec) { s.template.DNSNames = names } }

// Email sets e-mail subject alternative names.
func Email(addresses ...string) Option {
	return func(s *spec) { s.template.EmailAddresses = addresses }
}

// IP sets IP subject alternative names.
func IP(addresses ...string) Option {
	return func(s *spec) {
		s.template.IPAddresses = nil
		for _, a := range addresses {
			s.template.IPAddresses = append(s.template.IPAddresses, net.ParseIP(a))
		}
	}
}

// URI sets URI subject alternative names.
func URI(uris ...string) Option {
	return func(s *spec) {
		s.template.URIs = nil
		for _, u := range uris {
			parsed, err := url.Parse(u)
			if err != nil {
				panic(err)
			}
			s.template.URIs = append(s.template.URIs, parsed)
		}
	}
}

// Serial sets the serial number, in hexadecimal.
func Serial(hex string) Option {
	return func(s *spec) {
		n, ok := new(big.Int).SetString(hex, 16)
		if !ok {
			panic("testpki: serial " + hex + " is not hexadecimal")
		}
		s.template.SerialNumber = n
	}
}

// Keys and signatures.

// Key sets the type of the key to make.
func Key(t KeyType) Option { return func(s *spec) { s.keyType = t } }

// WithKey uses an existing private key.
func WithKey(k crypto.Signer) Option { return func(s *spec) { s.key = k } }

// PublicKey certifies a public key whose private half nobody has.
func PublicKey(p crypto.PublicKey) Option { return func(s *spec) { s.public = p } }

// SignatureAlgorithm says how the issuer signs.
func SignatureAlgorithm(a x509.SignatureAlgorithm) Option {
	return func(s *spec) { s.template.SignatureAlgorithm = a }
}

// EditTBS changes the DER of the TBSCertificate, which is then signed again:
// for certificates that crypto/x509 refuses to make. The result must still parse.
func EditTBS(f func(tbs []byte) []byte) Option { return func(s *spec) { s.edit = f } }
