package request

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"countersign.dev/internal/control/ca/altname"
	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pubkey"
)

// MaxSize bounds a certificate signing request in bytes, PEM or DER. One with
// an RSA key of 8192 bits and a hundred names has about 10 KiB.
const MaxSize = 64 << 10

// A CSR is a certificate signing request that was read and held against a
// profile: its key is strong and in the hands of whoever signed it.
type CSR struct {
	Subject   []byte // distinguished name in DER, as the requester encoded it
	Names     altname.Names
	PublicKey crypto.PublicKey
	Notes     []string // wishes that are not granted, in words
}

// ReadCSR reads one request in PEM or DER. It refuses one that is too large,
// malformed, weakly keyed or badly signed, and one that wishes to be an
// authority or to serve a purpose that p has not.
func ReadCSR(data []byte, p issuance.Profile) (CSR, error) {
	der, err := decode(data)
	if err != nil {
		return CSR{}, err
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return CSR{}, fmt.Errorf("not a certificate signing request: %w", err)
	}
	if err := pubkey.Check(r.PublicKey); err != nil {
		return CSR{}, err
	}
	switch r.SignatureAlgorithm {
	case x509.UnknownSignatureAlgorithm:
		return CSR{}, errors.New("the request is signed in a way that is not known here: expected RSA, RSA-PSS (salt as long as the hash) or ECDSA with SHA-256 or better, or Ed25519")
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return CSR{}, fmt.Errorf("the request is signed with %s: expected SHA-256 or better", r.SignatureAlgorithm)
	}
	if err := r.CheckSignature(); err != nil {
		return CSR{}, fmt.Errorf("the request's signature does not prove possession of its key: %w", err)
	}
	csr := CSR{
		Subject:   r.RawSubject,
		PublicKey: r.PublicKey,
		Names:     altname.Names{DNS: r.DNSNames, URIs: r.URIs, Emails: r.EmailAddresses, IPs: r.IPAddresses},
	}
	var faults []error
	for _, e := range r.Extensions {
		note, err := wish(e, p)
		if err != nil {
			faults = append(faults, err)
		}
		if note != "" {
			csr.Notes = append(csr.Notes, note)
		}
	}
	if len(faults) > 0 {
		return CSR{}, errors.Join(faults...)
	}
	return csr, nil
}

// decode unwraps the PEM block, if it is PEM.
func decode(data []byte) ([]byte, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("the request has more than %d bytes: expected at most %d KiB", MaxSize, MaxSize>>10)
	}
	if len(data) > 0 && data[0] == 0x30 { // SEQUENCE: DER begins so, text never
		return data, nil
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New(`there is no PEM block in it: expected "-----BEGIN CERTIFICATE REQUEST-----"`)
	}
	if block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("it holds a %s: expected a CERTIFICATE REQUEST", block.Type)
	}
	if another, _ := pem.Decode(rest); another != nil {
		return nil, fmt.Errorf("a second PEM block (%s) follows the request: expected one request alone", another.Type)
	}
	return block.Bytes, nil
}

// wish judges one requested extension (RFC 2985 section 5.4.2): nil and no
// note when it is granted, a note when it is ignored, an error when it shows
// that the requester expects what it must not get.
func wish(e pkix.Extension, p issuance.Profile) (note string, err error) {
	switch e.Id.String() {
	case "2.5.29.17":
		return "", otherNames(e.Value)
	case "2.5.29.19":
		return "", basicConstraints(e.Value)
	case "2.5.29.15":
		return keyUsage(e.Value, p)
	case "2.5.29.37":
		return "", extKeyUsage(e.Value, p)
	case "2.5.29.14":
		return "requested subject key identifier ignored: it is computed from the key", nil
	}
	critical := ""
	if e.Critical {
		critical = ", although asked for as critical"
	}
	name := e.Id.String()
	if known, ok := extensions[name]; ok {
		name = known
	}
	return fmt.Sprintf("requested extension %s ignored%s", name, critical), nil
}

// otherNames refuses alternative names that the standard parser skips: leaving
// them out in silence would certify less than was asked for.
func otherNames(der []byte) error {
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &names); err != nil || len(rest) > 0 {
		return errors.New("the requested alternative names are malformed")
	}
	kinds := map[int]string{0: "otherName", 3: "x400Address", 4: "directoryName", 5: "ediPartyName", 8: "registeredID"}
	for _, n := range names {
		switch n.Tag {
		case 1, 2, 6, 7: // rfc822Name, dNSName, uniformResourceIdentifier, iPAddress
		default:
			return fmt.Errorf("the request asks for an alternative name of kind %q: expected dns, ip, uri or email", kinds[n.Tag])
		}
	}
	return nil
}

func basicConstraints(der []byte) error {
	var bc struct {
		IsCA       bool `asn1:"optional"`
		MaxPathLen int  `asn1:"optional,default:-1"`
	}
	if rest, err := asn1.Unmarshal(der, &bc); err != nil || len(rest) > 0 {
		return errors.New("the requested basic constraints are malformed")
	}
	if bc.IsCA {
		return errors.New("the request asks to be an authority (CA:true): this authority signs end entities only")
	}
	return nil
}

func keyUsage(der []byte, p issuance.Profile) (note string, err error) {
	var bits asn1.BitString
	if rest, err := asn1.Unmarshal(der, &bits); err != nil || len(rest) > 0 {
		return "", errors.New("the requested key usage is malformed")
	}
	names := [...]string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment",
		"keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"}
	var ignored []string
	for n := range bits.BitLength {
		switch {
		case bits.At(n) == 0:
		case n == 5 || n == 6:
			return "", fmt.Errorf("the request asks for the key usage %s: that is an authority's", names[n])
		case n >= len(names):
			ignored = append(ignored, fmt.Sprintf("bit %d", n))
		case p.KeyUsage()&(1<<n) == 0:
			ignored = append(ignored, names[n])
		}
	}
	if len(ignored) > 0 {
		note = fmt.Sprintf("requested key usage %v ignored: the profile %s has digitalSignature", ignored, p)
	}
	return note, nil
}

func extKeyUsage(der []byte, p issuance.Profile) error {
	var oids []asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(der, &oids); err != nil || len(rest) > 0 {
		return errors.New("the requested extended key usage is malformed")
	}
	for _, oid := range oids {
		purpose, known := purposes[oid.String()]
		if !known {
			purpose.name = oid.String()
		}
		if known && slices.Contains(p.ExtKeyUsage(), purpose.usage) {
			continue
		}
		hint := ""
		switch purpose.usage {
		case x509.ExtKeyUsageServerAuth:
			hint = ", server does"
		case x509.ExtKeyUsageClientAuth:
			hint = ", client and device do"
		}
		return fmt.Errorf("the request asks for the extended key usage %s: the profile %s does not give it%s", purpose.name, p, hint)
	}
	return nil
}
