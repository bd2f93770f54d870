package config

import (
	"slices"

	"countersign.dev"
)

// client_auth with mode proxied: TLS ends at a balancer in front.

// proxied reports whether a balancer in front vouches for the listener's clients.
func (l *Listener) proxied() bool { return l.ClientAuth.Mode == countersign.ClientAuthProxied }

// checkProxied holds a listener whose clients are known by a balancer's word
// against what that takes.
func (l *Listener) checkProxied(c *checker, path string) {
	a, at := &l.ClientAuth, path+".client_auth"
	if !l.proxied() {
		if c.doc.Has(at + ".from") {
			c.fault(at+".from", "from with mode "+string(a.Mode), "mode proxied", "leave it out: nobody is believed about who a client is")
		}
		return
	}
	if l.ProxyProtocol.Accept != "required" && !c.doc.Refused(path+".proxy_protocol.accept") {
		c.fault(at+".mode", "proxied with proxy_protocol.accept "+l.ProxyProtocol.Accept, "proxy_protocol: {accept: required, from: [...]}",
			"the balancer says who the client is in the PROXY header: each connection has to begin with one")
	}
	switch {
	case len(a.From) == 0:
		c.fault(at+".from", "nothing", "the networks of the balancers where TLS ends, such as 10.0.0.0/8",
			"whoever is in them can claim to be any client: name those alone that verify certificates")
	case slices.Contains(a.From, "0.0.0.0/0"), slices.Contains(a.From, "::/0"):
		c.fault(at+".from", "every address", "the networks of the balancers where TLS ends", "anybody who can connect could claim to be any client")
	}
	if c.doc.Has(at + ".trust_store") {
		c.refer(at+".trust_store", a.TrustStore, c.stores, "trust store")
	} else {
		for _, key := range []string{"ignore_expiry", "max_chain_depth"} {
			if c.doc.Has(at + "." + key) {
				c.fault(at+"."+key, key+" with mode proxied and no trust_store", "trust_store beside it", "leave it out: the balancer alone verifies certificates")
			}
		}
	}
	for _, key := range []string{"advertise_ca_names", "resumption"} {
		if c.doc.Has(at + "." + key) {
			c.fault(at+"."+key, key+" with mode proxied", "another mode", "leave it out: the client's handshake is the balancer's")
		}
	}
	if c.doc.Has(path + ".server_names") {
		c.fault(path+".server_names", "server_names beside client_auth with mode proxied", "one of both", "the balancer's word comes before a name is asked for: make it a listener of its own")
	}
}
