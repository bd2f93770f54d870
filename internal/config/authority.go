package config

import (
	"net/url"
	"strings"
	"time"
)

// An Authority issues certificates, and revokes them. The command countersign ca
// makes it.
type Authority struct {
	// Name is what other keys call it, and part of the URLs at which it publishes.
	Name string `yaml:"name,required" is:"name"`

	// Dir is the directory that countersign ca init has made. It belongs to the
	// user of this program, with mode 0700.
	Dir string `yaml:"dir,required" is:"directory"`

	// PassphraseFile has the passphrase of the issuing authority's key in its first
	// line. Left out: the key has none, or is in a token.
	PassphraseFile string `yaml:"passphrase_file" is:"file"`

	// Lifetime is how long a certificate lasts for which nobody says how long. The
	// issuing authority's own end comes first. Default 365d.
	Lifetime time.Duration `yaml:"lifetime" default:"365d" range:"1m..36500d"`

	// Ledger is where it is recorded what was issued and revoked: file, in dir; or store,
	// where the devices are (node.store), so that several nodes, each with a copy of dir,
	// issue from one authority. countersign ca move-ledger takes it there. The name of the
	// authority must not change then. Default file.
	Ledger string `yaml:"ledger" one:"file|store" default:"file"`

	// CRL is about its revocation list.
	CRL AuthorityCRL `yaml:"crl"`

	// OCSP has questions about its certificates answered at node.revocation and at the
	// admin address. Default false.
	OCSP bool `yaml:"ocsp" default:"false"`

	// RenewAfterExpiry is how long after its end a device may still renew its
	// certificate, by EST (simplereenroll) or Initialize with its own certificate: if
	// the device is active, and the certificate the latest it has. Everything else that
	// it asks for is refused. It is for the authority that devices.authority names.
	// Left out: not at all.
	RenewAfterExpiry time.Duration `yaml:"renew_after_expiry" range:"1m..36500d"`

	// EST has devices get and renew their certificates by RFC 7030, below
	// /.well-known/est/ and /.well-known/est/NAME/ of the listeners that have devices:
	// annotate or enforce. It is for the authority that devices.authority names.
	// Default false.
	EST bool `yaml:"est" default:"false"`
}

// An AuthorityCRL is about the revocation list of an authority. It is signed when
// a certificate is revoked, and when half of its time is over.
type AuthorityCRL struct {
	// Lifetime is how long a list lasts: for how long clients may go without a new
	// one, and how late one may learn of a revocation. Default 24h.
	Lifetime time.Duration `yaml:"lifetime" default:"24h" range:"10m..365d"`

	// File is where else the lists are written, in PEM, for whoever may not read
	// dir. Left out: they are in crl.pem of dir alone.
	File string `yaml:"file" is:"output"`
}

// A RevocationService is where everybody learns which certificates of the authorities
// are revoked, below /.well-known/countersign/: crl/NAME/1.crl, crl/NAME.pem,
// ca/NAME/1.cer, ca/NAME.pem, ocsp/NAME. It is plain HTTP, for what it says is
// signed, and who checks a certificate cannot be asked to check another one first.
type RevocationService struct {
	// Address is an IP address with a port.
	Address string `yaml:"address,required" is:"address"`

	// URL is how the address is reached from everywhere, such as
	// http://pki.example.com. It becomes part of certificates, which then say where
	// to ask about them. Left out: they do not.
	URL string `yaml:"url" is:"plain URL"`
}

// plainURL normalizes the beginning of URLs in certificates.
func plainURL(s string) (clean, hint string, ok bool) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return "", "", false
	case u.Scheme == "https":
		return "", "who is to check a certificate cannot be asked to check another one first: http://", false
	case u.Scheme != "http" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return "", "", false
	}
	if hint, ok := goodPort(u); !ok {
		return "", hint, false
	}
	return "http://" + strings.ToLower(u.Host), "", true
}

func (a *Authority) check(c *checker, path string) {
	if a.OCSP && c.Node.Revocation == nil && c.Node.Admin.Address == "" && !c.doc.Refused("node.admin.address") {
		c.fault(path+".ocsp", "true without node.revocation", "an address at which it is asked", "node: {revocation: {address: \":8080\"}}")
	}
	if a.EST && (c.Devices == nil || c.Devices.Authority != a.Name) {
		c.fault(path+".est", "true without devices", "devices.authority: "+a.Name, "EST hands certificates to the devices of the registry")
	}
	if a.Ledger == "store" && c.Devices == nil {
		c.fault(path+".ledger", "store without devices", "the section devices", "devices: {} has the store opened")
	}
	if a.RenewAfterExpiry > 0 && (c.Devices == nil || c.Devices.Authority != a.Name) {
		c.fault(path+".renew_after_expiry", "a time without devices", "devices.authority: "+a.Name, "the certificates of the devices in the registry are renewed")
	}
	for i := range c.Authorities {
		other := &c.Authorities[i]
		if other == a {
			return
		}
		if other.Dir == a.Dir && a.Dir != "" {
			c.fault(path+".dir", quoted(a.Dir)+" again", "a directory of its own", item("authorities", i)+" has it")
			return
		}
	}
}
