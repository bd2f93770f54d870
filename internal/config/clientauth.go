package config

import "countersign.dev"

// ClientAuth says what is demanded of clients. Each stands alone: what one does
// not say has its default, it inherits nothing from another.
type ClientAuth struct {
	// Mode is off (no certificate is asked for), passthrough (one is asked for
	// and forwarded unverified), optional (none is fine, one that is presented
	// must verify), verify (required, and must verify) or proxied (TLS ends at a
	// balancer in front, which says by the field ssl of its PROXY header whose
	// certificate it found good; with any protocol). Default off where client_auth
	// is left out.
	Mode countersign.ClientAuthMode `yaml:"mode,required" one:"off|passthrough|optional|verify|proxied" default:"off"`

	// From lists the balancers that are believed about who a client is, as IP
	// addresses and networks, with proxied: those where TLS ends and certificates
	// are verified. A header from anybody else closes the connection.
	From []string `yaml:"from" is:"network"`

	// TrustStore names the authorities, with optional and verify. With proxied it
	// may: then the balancer must send the certificate, which is verified here once
	// more; left out, the balancer is believed.
	TrustStore string `yaml:"trust_store" want:"the name of a trust store"`

	// AdvertiseCANames tells clients the names of the authorities, so that one
	// with several certificates can choose. With optional and verify. Default
	// false.
	AdvertiseCANames bool `yaml:"advertise_ca_names" default:"false"`

	// IgnoreExpiry accepts certificates that have expired, for fleets that
	// cannot renew in time. With optional and verify. Default false.
	IgnoreExpiry bool `yaml:"ignore_expiry" default:"false"`

	// MaxChainDepth bounds the certificates from the client's to the
	// authority's, both counted. With optional and verify. Default 4, as AWS.
	MaxChainDepth int `yaml:"max_chain_depth" default:"4" range:"1..10"`

	// OnFailure says how a client that is refused learns of it: close (a TLS
	// alert) or respond (the handshake completes, every request is answered 403
	// with the reason). Default close.
	OnFailure countersign.OnFailure `yaml:"on_failure" one:"close|respond" default:"close"`

	// Close says how a connection ends whose client is no longer accepted, because
	// it was revoked, say, or its certificate expired: finish (what is under way
	// has a second to finish, WebSockets end) or now (a TCP reset). Default finish.
	Close countersign.Close `yaml:"close" one:"finish|now" default:"finish"`

	// Resumption lets clients shorten their next handshake; what was decided
	// about them is checked again all the same. Default true.
	Resumption bool `yaml:"resumption" default:"true"`
}

// A ServerName demands something else of the clients that ask for some names.
type ServerName struct {
	// Names are host names, or *.example.com for every name one label longer.
	// A name is in one entry only.
	Names []string `yaml:"names,required" is:"server name"`

	// ClientAuth stands alone, it inherits nothing from the listener's.
	ClientAuth ClientAuth `yaml:"client_auth,required"`
}

func (a *ClientAuth) check(c *checker, path string) {
	verifies := a.Mode == countersign.ClientAuthOptional || a.Mode == countersign.ClientAuthVerify
	if c.doc.Refused(path + ".mode") {
		return
	}
	if a.Mode == countersign.ClientAuthProxied {
		return // checkProxied has more to ask
	}
	at := path + ".trust_store"
	switch {
	case verifies && !c.doc.Has(at):
		c.fault(at, "nothing", "the name of a trust store", "mode "+string(a.Mode)+" verifies certificates against it")
	case verifies:
		c.refer(at, a.TrustStore, c.stores, "trust store")
	default:
		// AWS refuses these as well, even where the value changes nothing.
		for _, key := range []string{"trust_store", "advertise_ca_names", "ignore_expiry", "max_chain_depth"} {
			if c.doc.Has(path + "." + key) {
				c.fault(path+"."+key, key+" with mode "+string(a.Mode), "mode optional or verify", "leave it out: no certificate is verified")
			}
		}
	}
	for _, key := range []string{"on_failure", "close"} {
		if a.Mode == countersign.ClientAuthOff && c.doc.Has(path+"."+key) {
			c.fault(path+"."+key, key+" with mode off", "another mode", "leave it out: no certificate is asked for")
		}
	}
}
