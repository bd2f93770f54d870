package enroll

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/request"
	"countersign.dev/internal/control/device"
	"countersign.dev/internal/traffic/identify"
	"countersign.dev/internal/wire/dn"
)

// oidCommonName is that of RFC 4519 section 2.3.
const oidCommonName = "2.5.4.3"

// idMark is where a name has the id.
const idMark = "{id}"

// CheckMark says what is wrong with Settings.Name, whatever the id.
func CheckMark(name string) error {
	if strings.Count(name, idMark) != 1 {
		return fmt.Errorf("%q, which has not one place for the id: expected one {id} in it", name)
	}
	return nil
}

// CheckName says what is wrong with Settings.Name: a device must be found again in
// a certificate that names it so. sample is some device's id.
func CheckName(ids device.IDs, name, sample string) error {
	who := &countersign.Identity{}
	text := strings.ReplaceAll(name, idMark, sample)
	switch ids.From {
	case device.FromSANDNS:
		who.DNSNames = []string{text}
	case device.FromSANURI:
		who.URIs = []string{text}
	default:
		who.CommonNames = []string{text}
	}
	got, err := ids.Of(who)
	if err == nil && got != sample {
		err = fmt.Errorf("it is found as %q", got)
	}
	if err != nil {
		return fmt.Errorf("the device %s would be named %q, where devices.id does not find it: %w", sample, text, err)
	}
	return nil
}

// names is what the certificate of a device says of it.
func (s *Settings) names(id string) (subject []byte, names altname.Names, err error) {
	if err := CheckName(s.IDs, s.Name, id); err != nil {
		return nil, names, err
	}
	text := strings.ReplaceAll(s.Name, idMark, id)
	cn := id
	switch s.IDs.From {
	case device.FromSANDNS:
		names.DNS = []string{text}
	case device.FromSANURI:
		u, err := url.Parse(text)
		if err != nil {
			return nil, names, err
		}
		names.URIs = []*url.URL{u}
	default:
		cn = text
	}
	subject, err = request.CommonName(cn)
	return subject, names, err
}

// checkNames refuses a signing request with a name that is not the device's.
func (a *attempt) checkNames() error {
	all, err := dn.Values(a.csr.Subject, oidCommonName)
	if err != nil {
		return invalid("the subject of the signing request: %v", err)
	}
	n := a.csr.Names
	for _, u := range n.URIs {
		all = append(all, u.String())
	}
	for _, name := range append(all, n.DNS...) {
		if id, err := a.office.IDs.Normalize(name); err != nil || id != a.id {
			return invalid("the signing request names %q, which is not the device %s", name, a.id)
		}
	}
	if len(n.Emails)+len(n.IPs) > 0 {
		return invalid("the signing request asks for the names %v %v: a device has its id alone", n.Emails, n.IPs)
	}
	return nil
}

// commonName is the one in a subject; "" for none, or for several.
func commonName(subject []byte) string {
	all, err := dn.Values(subject, oidCommonName)
	if err != nil || len(all) != 1 {
		return ""
	}
	return all[0]
}

// credential is a certificate as the registry keeps it.
func credential(id string, c *x509.Certificate, at time.Time) (*countersign.Credential, error) {
	who := identify.Presented(c)
	if who == nil {
		return nil, errors.New("the certificate cannot be described")
	}
	return &countersign.Credential{Device: id, Serial: who.Serial, Fingerprint: who.Fingerprint, Issuer: who.Issuer,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, State: countersign.CredentialValid, Added: at}, nil
}

func serial(c *x509.Certificate) string { return dn.Serial(c.SerialNumber) }

func encodeChain(chain []*x509.Certificate) []byte { return pemfile.EncodeCertificates(chain...) }

func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain, data = append(chain, c), rest
	}
	if len(chain) == 0 {
		return nil, errors.New("the delivered certificate is not in the store any more")
	}
	return chain, nil
}

// keyDigest is the SHA-256 of the SubjectPublicKeyInfo in a certificate.
func keyDigest(c *x509.Certificate) []byte {
	digest := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return digest[:]
}
