package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A TrustStore is a set of authorities, with what else must hold of a client's
// certificate that one of them issued.
type TrustStore struct {
	// Name is how client_auth refers to the store.
	Name string `yaml:"name,required" is:"name"`

	// CABundle lists PEM files with the certificates of authorities, or where
	// they are fetched from. An intermediate may be an anchor.
	CABundle []Source `yaml:"ca_bundle,required" want:"a file, an https:// or an s3:// URL"`

	// Refresh is how often, at least, what ca_bundle has by URL is asked for.
	// Files are read when they change. Default 5m.
	Refresh time.Duration `yaml:"refresh" default:"5m" range:"1s..168h"`

	// Accept lists filters; at least one must match. Left out: every
	// certificate that an authority of the bundle issued.
	Accept []Filter `yaml:"accept" hint:"leave the key out to accept every certificate of the bundle's authorities"`

	// Keys says which public keys clients may have.
	Keys KeyRules `yaml:"keys"`

	// Revocation says how revoked certificates are known. Left out: none is.
	Revocation *Revocation `yaml:"revocation"`

	// Limits bound the store; the defaults are AWS's quotas.
	Limits TrustLimits `yaml:"limits"`
}

// A Filter matches a certificate when each of its keys does; a key with several
// values matches when one of them does, and never when the certificate lacks the
// field. * in a value stands for any text.
type Filter struct {
	// SubjectCN is a common name, such as MacID-*.
	SubjectCN []string `yaml:"subject_cn"`

	// SubjectOU is an organizational unit.
	SubjectOU []string `yaml:"subject_ou"`

	// SANDNS is a DNS name among the subject alternative names.
	SANDNS []string `yaml:"san_dns"`

	// SANURI is a URI among them, such as spiffe://fleet/*.
	SANURI []string `yaml:"san_uri"`

	// SPKIPin is the SHA-256 of the public key: sha256/BASE64.
	SPKIPin []SPKIPin `yaml:"spki_pin" want:"sha256/ with 44 characters of base64"`

	// Fingerprint is the SHA-256 of the certificate: sha256:HEX.
	Fingerprint []Fingerprint `yaml:"fingerprint" want:"sha256: with 64 hexadecimal digits"`
}

func (f *Filter) empty() bool {
	return len(f.SubjectCN)+len(f.SubjectOU)+len(f.SANDNS)+len(f.SANURI)+len(f.SPKIPin)+len(f.Fingerprint) == 0
}

// An SPKIPin is the SHA-256 of a SubjectPublicKeyInfo (RFC 7469 section 2.4).
type SPKIPin [32]byte

// UnmarshalText reads sha256/BASE64.
func (p *SPKIPin) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "sha256/")
	sum, err := base64.StdEncoding.Strict().DecodeString(digits)
	if !ok || err != nil || len(sum) != len(p) {
		return errors.New("the digest is that of the public key in DER (RFC 7469 section 2.4)")
	}
	copy(p[:], sum)
	return nil
}

// String returns sha256/BASE64.
func (p SPKIPin) String() string { return "sha256/" + base64.StdEncoding.EncodeToString(p[:]) }

// A Fingerprint is the SHA-256 of a certificate's DER.
type Fingerprint [32]byte

// UnmarshalText reads sha256:HEX; colons between bytes, as OpenSSL prints them,
// are ignored.
func (f *Fingerprint) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "sha256:")
	sum, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if !ok || err != nil || len(sum) != len(f) {
		return errors.New("openssl x509 -fingerprint -sha256 prints it")
	}
	copy(f[:], sum)
	return nil
}

// String returns sha256:HEX in lower case.
func (f Fingerprint) String() string { return "sha256:" + hex.EncodeToString(f[:]) }

// KeyRules say which public keys clients may have. The defaults are AWS's.
type KeyRules struct {
	// RSAMin is the least size of an RSA key, in bits; the most is 8192.
	// Default 2048.
	RSAMin int `yaml:"rsa_min" default:"2048" range:"2048..8192"`

	// ECDSA lists curves. Default P-256, P-384, P-521.
	ECDSA []string `yaml:"ecdsa" one:"P-256|P-384|P-521" default:"P-256|P-384|P-521"`

	// Ed25519 accepts keys that AWS does not. Default false.
	Ed25519 bool `yaml:"ed25519" default:"false"`
}

// Revocation says how revoked certificates are known.
type Revocation struct {
	// CRLs lists files, PEM or DER, or where they are fetched from, with several
	// lists of one issuer if need be; cdp stands for the distribution points in
	// clients' certificates. A change takes effect at once, on live connections
	// too.
	CRLs []Source `yaml:"crls" want:"a file, an https:// or an s3:// URL, or cdp" hint:"without a revocation list nothing can be checked: leave revocation out"`

	// Hosts lists the servers that may be asked because a certificate names them:
	// for cdp its distribution points, for ocsp its responders. A host name, *. before one for every name
	// below it, or an IP address or prefix: an address that is not public, such as
	// 127.0.0.1 or one of 10.0.0.0/8, is reached only if it is listed itself.
	Hosts []string `yaml:"hosts" is:"reachable host"`

	// Scope says which certificates are looked up: leaf (the client's own) or
	// chain (its intermediates as well). Default leaf.
	Scope string `yaml:"scope" one:"leaf|chain" default:"leaf"`

	// Missing says what becomes of a certificate whose issuer has no list:
	// accept or refuse. Default accept.
	Missing string `yaml:"missing" one:"accept|refuse" default:"accept"`

	// Stale says what becomes of one whose issuer's list is past its next
	// update: accept or refuse. Default refuse.
	Stale string `yaml:"stale" one:"accept|refuse" default:"refuse"`

	// Grace is how long after the next update a list is not stale yet.
	// Default 0s.
	Grace time.Duration `yaml:"grace" default:"0s" range:"0s..8760h"`

	// OCSP says whether responders are asked about certificates: off, prefer
	// (without an answer the lists decide) or require (without one the certificate
	// is refused). It may be written as the mode alone. Left out: off.
	OCSP *OCSP `yaml:"ocsp"`

	// Refresh is how often, at least, what crls has by URL or by cdp is asked for.
	// A list is asked for before its next update, too. Files are read when they change.
	// Default 5m.
	Refresh time.Duration `yaml:"refresh" default:"5m" range:"1s..168h"`
}

// OCSP says how responders are asked about certificates (RFC 6960). Answers count
// until their next update and are renewed before it; one of an earlier revocation
// ends live connections.
type OCSP struct {
	// Mode is off, prefer or require. To be called revoked is to be refused in
	// both of the last.
	Mode string `yaml:"mode,required,alone" one:"off|prefer|require"`

	// Responder is the http:// or https:// URL that is asked about every
	// certificate. Left out: those that certificates name, where hosts lets them.
	Responder string `yaml:"responder" is:"responder"`

	// Nonce demands responses that were made for the request. Responders that
	// sign beforehand have none. Default false.
	Nonce bool `yaml:"nonce" default:"false"`

	// Timeout bounds how long a handshake waits for an answer. Default 2s.
	Timeout time.Duration `yaml:"timeout" default:"2s" range:"10ms..1m"`
}

// Asks reports whether responders are asked at all.
func (o *OCSP) Asks() bool { return o != nil && (o.Mode == "prefer" || o.Mode == "require") }

// TrustLimits bound a trust store.
type TrustLimits struct {
	// CACertificates bounds the certificates of the bundle. Default 25.
	CACertificates int `yaml:"ca_certificates" default:"25" range:"1..100000"`

	// CACertificateSize bounds each of them. Default 16KiB.
	CACertificateSize int64 `yaml:"ca_certificate_size" default:"16KiB" range:"1KiB..1MiB"`

	// CASubjectsSize bounds the bytes of all their names together, as they are
	// in the TLS certificate_authorities list (RFC 8446 section 4.2.4).
	// Default 10000.
	CASubjectsSize int64 `yaml:"ca_subjects_size" default:"10000" range:"1..65535"`

	// CABundleSize bounds each file of the bundle. Default 16MiB.
	CABundleSize int64 `yaml:"ca_bundle_size" default:"16MiB" range:"1KiB..1GiB"`

	// CRLs bounds the files of revocation.crls, with those that cdp finds.
	// Default 30.
	CRLs int `yaml:"crls" default:"30" range:"1..10000"`

	// CRLSize bounds each of them. Default 50MiB.
	CRLSize int64 `yaml:"crl_size" default:"50MiB" range:"1KiB..4GiB"`

	// CRLEntries bounds the revoked certificates of all of them together.
	// Default 500000.
	CRLEntries int `yaml:"crl_entries" default:"500000" range:"1..100000000"`
}

func (s *TrustStore) check(c *checker, path string) {
	for i := range s.Accept {
		if at := fmt.Sprintf("%s.accept[%d]", path, i); s.Accept[i].empty() {
			c.fault(at, "a filter without a condition", "at least one of subject_cn, subject_ou, san_dns, san_uri, spki_pin or fingerprint", "it would accept every certificate")
		}
	}
	c.sources(s.CABundle, path+".ca_bundle", path+".refresh")
	r := s.Revocation
	if r == nil {
		return
	}
	at := path + ".revocation"
	if len(r.CRLs) == 0 && !r.OCSP.Asks() && !c.doc.Refused(at+".crls") && !c.doc.Refused(at+".ocsp") && !c.doc.Refused(at+".ocsp.mode") {
		c.fault(at+".crls", "nothing", "a file, an https:// or an s3:// URL, or cdp, or a list of such",
			"without a revocation list nothing can be checked: leave revocation out, or have ocsp ask")
	}
	c.sources(r.CRLs, at+".crls", at+".refresh")
	r.checkHosts(c, at)
	r.OCSP.check(c, at+".ocsp")
	if len(r.CRLs) > s.Limits.CRLs {
		c.fault(at+".crls", fmt.Sprintf("%d files", len(r.CRLs)), fmt.Sprintf("at most %d", s.Limits.CRLs), "limits.crls of the trust store allows more")
	}
	if r.Stale == "accept" && c.doc.Has(at+".grace") {
		c.fault(at+".grace", "grace with stale: accept", "stale: refuse", "leave one of them out: a stale list is accepted for ever")
	}
}

// checkHosts holds what may be asked for against what is asked for.
func (r *Revocation) checkHosts(c *checker, at string) {
	i := slices.IndexFunc(r.CRLs, Source.Points)
	named := r.OCSP.Asks() && r.OCSP.Responder == "" && !c.doc.Refused(at+".ocsp.responder")
	switch {
	case named && len(r.Hosts) == 0 && !c.doc.Refused(at+".hosts"):
		c.fault(at+".hosts", "nothing", "the hosts of the responders that certificates may name, such as ocsp.example.com",
			"ocsp is "+r.OCSP.Mode+": what certificates name is asked only where it is allowed; or set ocsp.responder")
	case i >= 0 && len(r.Hosts) == 0 && !c.doc.Refused(at+".hosts"):
		c.fault(at+".hosts", "nothing", "the hosts that distribution points may name, such as crl.example.com",
			fmt.Sprintf("%s.crls[%d] is cdp: what certificates name is asked for only where it is allowed", at, i))
	case i < 0 && !named && len(r.Hosts) > 0:
		c.doc.Report(c.Warn(at+".hosts", "hosts of which none is asked", "", "they are for cdp in crls, and for ocsp without a responder"))
	}
}

// check finds settings that nobody would read.
func (o *OCSP) check(c *checker, at string) {
	if o == nil || o.Asks() || c.doc.Refused(at) || c.doc.Refused(at+".mode") {
		return
	}
	for _, key := range []string{"responder", "nonce", "timeout"} {
		if c.doc.Has(at + "." + key) {
			c.fault(at+"."+key, key+" with mode: off", "mode: prefer or require", "leave it out: nobody is asked")
		}
	}
}
