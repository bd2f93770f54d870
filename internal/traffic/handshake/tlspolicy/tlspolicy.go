package tlspolicy

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Policy says which TLS a listener speaks. The zero value is "modern".
type Policy struct {
	Name       string
	MinVersion uint16 // tls.VersionTLS12 or tls.VersionTLS13
	MaxVersion uint16
	// CipherSuites are those of TLS 1.2; crypto/tls fixes those of TLS 1.3, and the order of both.
	CipherSuites []uint16
	Groups       []tls.CurveID // key exchange
	// Notes say what the policy of that name has elsewhere and this one has
	// not, one sentence each, for people.
	Notes []string
}

// aead are the forward-secret suites of TLS 1.2 without CBC (RFC 9325 section 4.2).
var aead = [...]uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func Modern() Policy {
	return Policy{
		Name: "modern", MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13, CipherSuites: aead[:],
		Groups: []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256, tls.CurveP384},
	}
}

// ByName returns the TLS policy called modern (TLS 1.3, and 1.2 with
// AEAD suites), tls13 (TLS 1.3 alone), or an ELBSecurityPolicy-* name of AWS.
// The error says why a name that exists cannot be honored.
func ByName(name string) (Policy, error) {
	switch name {
	case "modern":
		return Modern(), nil
	case "tls13":
		p := Modern()
		p.Name, p.MinVersion, p.CipherSuites = name, tls.VersionTLS13, nil
		return p, nil
	}
	if short, ok := strings.CutPrefix(name, awsPrefix); ok {
		return awsPolicy(short)
	}
	return Policy{}, fmt.Errorf("TLS policy %s: want modern, tls13 or a name that begins with %s", strconv.Quote(name), awsPrefix)
}

// Names returns every name that ByName knows, those included that
// it refuses.
func Names() []string {
	names := []string{"modern", "tls13"}
	for _, a := range awsPolicies {
		names = append(names, awsPrefix+a.name)
	}
	return names
}

// Validate guards against a policy put together by hand: TLS 1.0 and 1.1 are
// never offered (RFC 8996), nor anything that crypto/tls calls insecure.
func (p Policy) Validate() error {
	if p.MinVersion < tls.VersionTLS12 || p.MaxVersion > tls.VersionTLS13 || p.MinVersion > p.MaxVersion {
		return fmt.Errorf("TLS policy %q: versions %s to %s: want TLS 1.2 or 1.3", p.Name,
			tls.VersionName(p.MinVersion), tls.VersionName(p.MaxVersion))
	}
	if p.MinVersion == tls.VersionTLS12 && len(p.CipherSuites) == 0 {
		return fmt.Errorf("TLS policy %q: no cipher suites for TLS 1.2", p.Name)
	}
	if len(p.Groups) == 0 {
		return fmt.Errorf("TLS policy %q: no groups for the key exchange", p.Name)
	}
	for _, s := range tls.InsecureCipherSuites() {
		if slices.Contains(p.CipherSuites, s.ID) {
			return fmt.Errorf("TLS policy %q: cipher suite %s is insecure", p.Name, s.Name)
		}
	}
	return nil
}
