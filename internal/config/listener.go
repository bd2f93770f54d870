package config

import "time"

// A Listener is an address at which clients connect.
type Listener struct {
	// Name is how logs and metrics call the listener. Each has its own.
	Name string `yaml:"name,required" is:"name"`

	// Address is an IP address with a port, such as 10.0.0.1:8443 or [::1]:8443;
	// :8443 is every address of the machine, port 0 any free port. Each
	// listener has its own.
	Address string `yaml:"address,required" is:"address"`

	// Protocol is https, http, tls (TLS ends here, and whatever bytes it carries go
	// on to a target) or tcp (bytes go on as they are, TLS included).
	Protocol string `yaml:"protocol,required" one:"https|http|tls|tcp"`

	// Certificates are what the listener shows of itself, with https and tls. The
	// first is the default; the others serve the names that they carry.
	Certificates []Certificate `yaml:"certificates"`

	// TLS is about the protocol itself, with https and tls.
	TLS TLS `yaml:"tls"`

	// ProxyProtocol is how a balancer in front tells the client's address.
	ProxyProtocol ProxyProtocol `yaml:"proxy_protocol"`

	// ClientAuth says what is demanded of clients, with https and tls. Left out:
	// no certificate is asked for.
	ClientAuth ClientAuth `yaml:"client_auth"`

	// ServerNames demand something else of the clients of some names.
	ServerNames []ServerName `yaml:"server_names"`

	// Devices says what becomes of clients as devices: off; annotate, which tells
	// targets by X-Device-Id and X-Device-State; or enforce, which serves active
	// devices alone and answers the others 403 or 404. With https, a client_auth
	// that verifies, and the section devices. With tls, enforce closes the
	// connections of other devices, and annotate has no place. Default off.
	Devices string `yaml:"devices" one:"off|annotate|enforce" default:"off"`

	// IdentityHeaders tell the backend who the client is, with https. What
	// clients send under any such name is removed, whether or not it is listed.
	IdentityHeaders []IdentityHeader `yaml:"identity_headers" hint:"leave the key out to tell the backend nothing"`

	// Forwarded says what becomes of X-Forwarded-For, -Proto and -Port: append
	// (ours after what the client sent), preserve (as the client sent them) or
	// remove. Default append.
	Forwarded string `yaml:"forwarded" one:"append|preserve|remove" default:"append"`

	// Limits bound what a message may take.
	Limits Limits `yaml:"limits"`

	// Timeouts bound how long things may take.
	Timeouts Timeouts `yaml:"timeouts"`

	// Rules say what becomes of which requests. The first that a request meets
	// decides; default takes the others.
	Rules []Rule `yaml:"rules" hint:"leave the key out to have all requests go where default says"`

	// Require lists what has to hold for every request, all of it; else the answer
	// is 401, or 403 if only a certificate is missing.
	Require []Requirement `yaml:"require"`

	// Default is what becomes of the requests that no rule takes.
	Default Action `yaml:"default,required" hint:"say which target group gets the requests: {forward: GROUP}"`
}

// A Certificate is a certificate with its key, which must be each other's.
type Certificate struct {
	// Cert is a PEM file: the certificate first, then its intermediates.
	Cert string `yaml:"cert,required" is:"file"`

	// Key is a PEM file with the private key, unencrypted.
	Key string `yaml:"key,required" is:"file"`

	// ACME obtains and renews the certificate.
	_ later `yaml:"acme" instead:"cert|key" hint:"today certificates are files: {cert: FILE, key: FILE}; they are read again when they change"`
}

// TLS is about the protocol itself.
type TLS struct {
	// Policy names versions and cipher suites: modern (TLS 1.3, and 1.2 with
	// AEAD), tls13, or a policy of AWS such as
	// ELBSecurityPolicy-TLS13-1-2-Res-2021-06. Default modern.
	Policy string `yaml:"policy" default:"modern"`

	// ALPN is which protocols are offered to clients, preferred first: with https,
	// h2 and http/1.1, and left out: both, in this order; with tls any, such as
	// mqtt, and left out: none, whatever a client offers.
	ALPN []string `yaml:"alpn" is:"alpn"`
}

// ProxyProtocol is how a balancer in front tells the client's address.
type ProxyProtocol struct {
	// Accept says whether a PROXY header, of version 1 or 2, precedes connections:
	// off, optional or required. With off it is not looked for, and no protocol
	// takes it for a request. With required a connection without one is closed,
	// and so is any from a peer that is not in from. Default off.
	Accept string `yaml:"accept" one:"off|optional|required" default:"off"`

	// From lists the balancers that are believed, as IP addresses and networks. A
	// header from anybody else closes the connection.
	From []string `yaml:"from" is:"network"`

	// PassTLVs are fields of the header that target groups with proxy_protocol of
	// version 2 are told in their turn, in the header to the target: vpce, gcp and
	// azure (the ids of their private endpoints), alpn, authority, unique_id, ssl,
	// netns, and types from 0xE0 to 0xF7. Where the group tells such a field itself, it is
	// ours that it gets. Nothing of them is believed for who the client is.
	PassTLVs []PassedTLV `yaml:"pass_tlvs" want:"vpce, gcp, azure, alpn, authority, unique_id, ssl, netns, or a type from 0xE0 to 0xF7"`

	// Timeout: from the connection to the end of the header, or with optional to
	// the first bytes, whatever they are. Default 5s.
	Timeout time.Duration `yaml:"timeout" default:"5s" range:"1ms..1h"`
}

// An IdentityHeader is a dialect, which is a set of headers under the names that
// some product gives them, or one header of an own name, or a token.
type IdentityHeader struct {
	// Dialect is written as a word alone: aws (X-Amzn-Mtls-Clientcert...), nginx
	// (X-SSL-Client-...), rfc9440 (Client-Cert, Client-Cert-Chain), xfcc
	// (X-Forwarded-Client-Cert), traefik (X-Forwarded-Tls-Client-Cert...), or token,
	// a signed statement. Empty with an own name.
	Dialect string `yaml:",alone" one:"aws|nginx|rfc9440|xfcc|traefik|token"`

	// Set is an own name, such as X-Client-Info.
	Set string `yaml:"set,required" is:"header name"`

	// Value is what the header says: text with placeholders such as {subject}.
	Value string `yaml:"value,required"`

	// Token is the dialect token in another form than the word alone stands for.
	Token *Token `yaml:"token" instead:"set|value"`
}
