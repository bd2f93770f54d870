package config

import (
	"net/netip"
	"strings"
)

// TargetTLS is how targets are verified, and what is shown to them. Targets of
// protocol https or tls are verified by what is left out here, if all of it is.
type TargetTLS struct {
	// Certificate is shown to targets that ask for one. A changed file is used for
	// new connections; those that were made with the old one end with what is under
	// way on them. Left out: no certificate is shown.
	Certificate *Certificate `yaml:"certificate"`

	// CABundle lists PEM files with the authorities that issue the certificates
	// of targets. Left out: those of the system.
	CABundle []string `yaml:"ca_bundle" is:"file"`

	// ServerName is asked for, and the name or IP address that the certificate must
	// be for. Left out: the host of the target's address, which may be an IP
	// address.
	ServerName string `yaml:"server_name" is:"certified name"`

	// CRLs lists files with revocation lists, PEM or DER. They are held against
	// the target's certificate and those of the authorities between it and
	// ca_bundle. A list past its nextUpdate refuses; an issuer without a list
	// revokes nothing.
	CRLs []string `yaml:"crls" is:"file"`

	// Pins are SHA-256 of public keys: sha256/BASE64. The target, or an authority
	// that vouches for it, must have one of them.
	Pins []SPKIPin `yaml:"pins" want:"sha256/ with 44 characters of base64"`

	// Verify refuses targets that do not prove who they are. With false, whoever
	// is reached at the address is taken for the target: it reads every request,
	// and what is said of clients. Default true.
	Verify bool `yaml:"verify" default:"true"`

	// ALPN is which protocols are offered, preferred first, with protocol tls: the
	// others know what they speak. Left out: the one that was agreed upon with the
	// client at a listener with protocol tls. A target that chooses none is fine.
	ALPN []string `yaml:"alpn"`
}

// OverTLS reports whether the targets are reached over TLS.
func (g *TargetGroup) OverTLS() bool {
	return g.TLS != nil || g.Protocol == "https" || g.Protocol == "tls"
}

// checkTLS holds what is said of TLS against the protocol, and its parts against
// each other.
func (g *TargetGroup) checkTLS(c *checker, path string) {
	t, at := g.TLS, path+".tls"
	if t == nil || c.doc.Refused(at) {
		return
	}
	switch {
	case c.doc.Refused(path + ".protocol"):
	case g.Protocol == "http":
		c.fault(at, "tls with protocol http", "protocol https, or h2, grpc or tls", "protocol: https is HTTP/1.1 over TLS; or leave tls out")
	case g.Protocol == "tcp":
		c.fault(at, "tls with protocol tcp", "protocol tls", "protocol: tls is bytes over TLS; or leave tls out")
	case g.Protocol != "tls" && c.doc.Has(at+".alpn"):
		c.fault(at+".alpn", "alpn with protocol "+g.Protocol, "protocol tls", "leave it out: https offers http/1.1, h2 and grpc want h2")
	}
	for i, name := range t.ALPN {
		if len(name) > 255 { // RFC 7301 section 3.1
			c.fault(item(at+".alpn", i), quoted(name), "at most 255 bytes", "")
		}
	}
	if t.Verify {
		return
	}
	said := false
	for _, key := range []string{"ca_bundle", "server_name", "crls", "pins"} {
		if c.doc.Has(at + "." + key) {
			said = true
			c.fault(at+"."+key, key+" with verify: false", "verify: true", "leave verify out: "+key+" says how targets are verified, and verify: false takes everybody for the target")
		}
	}
	if !said {
		c.doc.Report(c.Warn(at+".verify", "verify: false", "verify: true with ca_bundle",
			"whoever answers at the address of a target is sent the requests, with what is said of their clients; give the targets certificates, and their authority as ca_bundle"))
	}
}

// certifiedName normalizes what a server's certificate can be for.
func certifiedName(s string) (clean, hint string, ok bool) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return ip.Unmap().String(), "", true
	}
	clean = strings.ToLower(strings.TrimSuffix(s, "."))
	switch {
	case strings.Contains(clean, "*"):
		return "", "write one of the names that the certificate's * stands for", false
	case strings.Contains(clean, ":"):
		return "", "a name has no port here", false
	}
	return clean, "", isHostname(clean)
}
