package tlspolicy

import (
	"crypto/fips140"
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
)

const awsPrefix = "ELBSecurityPolicy-"

// An awsRow is one policy of AWS's table (Application and Network Load
// Balancer user guides, "Security policies").
type awsRow struct {
	name     string // without awsPrefix
	versions string // digits: 3 is TLS 1.3, 2 is 1.2 ...
	suites   awsSuites
}

// awsSuites are the families of TLS 1.2 suites. Their order matters to policy.
type awsSuites int

const (
	none    awsSuites = iota // TLS 1.3 alone
	gcm                      // ECDHE with AES-GCM
	cbcSHA2                  // gcm, and ECDHE with AES-CBC and SHA-256 or SHA-384
	cbcSHA                   // cbcSHA2, and ECDHE with AES-CBC and SHA-1
	rsaSHA2                  // cbcSHA2, and RSA key transport with GCM or CBC-SHA2
	rsaSHA                   // cbcSHA and rsaSHA2, and RSA key transport with CBC-SHA
	rsa3DES                  // rsaSHA and 3DES
	strict                   // CNSA: AES-256, P-384, RSA-3072
)

// awsPolicies is every name that AWS documents. Ext1-PQ is taken to have
// Ext1's suites, the narrower of two readings.
var awsPolicies = [...]awsRow{
	{"TLS13-1-3-2021-06", "3", none},
	{"TLS13-1-3-PQ-2025-09", "3", none},
	{"TLS13-1-2-2021-06", "32", cbcSHA2},
	{"TLS13-1-2-PQ-2025-09", "32", cbcSHA2},
	{"TLS13-1-2-Res-2021-06", "32", gcm},
	{"TLS13-1-2-Res-PQ-2025-09", "32", gcm},
	{"TLS13-1-2-Ext1-2021-06", "32", rsaSHA2},
	{"TLS13-1-2-Ext1-PQ-2025-09", "32", rsaSHA2},
	{"TLS13-1-2-Ext2-2021-06", "32", rsaSHA},
	{"TLS13-1-2-Ext2-PQ-2025-09", "32", rsaSHA},
	{"TLS13-1-1-2021-06", "321", rsaSHA},
	{"TLS13-1-0-2021-06", "3210", rsaSHA},
	{"TLS13-1-0-PQ-2025-09", "3210", rsaSHA},
	{"TLS-1-2-Ext-2018-06", "2", rsaSHA},
	{"TLS-1-2-2017-01", "2", rsaSHA2},
	{"TLS-1-1-2017-01", "21", rsaSHA},
	{"TLS-1-0-2015-04", "210", rsa3DES},
	{"2016-08", "210", rsaSHA},
	{"2015-05", "210", rsaSHA},
	{"FS-2018-06", "210", cbcSHA},
	{"FS-1-1-2019-08", "21", cbcSHA},
	{"FS-1-2-2019-08", "2", cbcSHA},
	{"FS-1-2-Res-2019-08", "2", cbcSHA2},
	{"FS-1-2-Res-2020-10", "2", gcm},
	{"TLS13-1-3-FIPS-2023-04", "3", none},
	{"TLS13-1-3-FIPS-PQ-2025-09", "3", none},
	{"TLS13-1-2-FIPS-2023-04", "32", cbcSHA2},
	{"TLS13-1-2-FIPS-PQ-2025-09", "32", cbcSHA2},
	{"TLS13-1-2-Res-FIPS-2023-04", "32", gcm},
	{"TLS13-1-2-Res-FIPS-PQ-2025-09", "32", gcm},
	{"TLS13-1-2-Ext0-FIPS-2023-04", "32", cbcSHA},
	{"TLS13-1-2-Ext0-FIPS-PQ-2025-09", "32", cbcSHA},
	{"TLS13-1-2-Ext1-FIPS-2023-04", "32", rsaSHA2},
	{"TLS13-1-2-Ext1-FIPS-PQ-2025-09", "32", rsaSHA2},
	{"TLS13-1-2-Ext2-FIPS-2023-04", "32", rsaSHA},
	{"TLS13-1-2-Ext2-FIPS-PQ-2025-09", "32", rsaSHA},
	{"TLS13-1-1-FIPS-2023-04", "321", rsaSHA},
	{"TLS13-1-0-FIPS-2023-04", "3210", rsaSHA},
	{"TLS13-1-0-FIPS-PQ-2025-09", "3210", rsaSHA},
	{"TLS13-1-3-RFC9151-FIPS-2023-07", "3", strict},
	{"TLS13-1-2-RFC9151-FIPS-2023-07", "32", strict},
	{"TLS13-1-2-Ext0-RFC9151-FIPS-2023-07", "32", strict},
	{"TLS13-1-2-RFC9151-INTEROP1-FIPS-2023-07", "32", strict},
	{"TLS13-1-2-RFC9151-INTEROP2-FIPS-2023-07", "32", strict},
	{"TLS13-1-2-RFC9151-INTEROP3-FIPS-2023-07", "32", strict},
	{"TLS13-1-2-RFC9151-INTEROP4-FIPS-2023-07", "32", strict},
	{"TLS13-1-3-CNSA2-INTEROP1-FIPS-PQ-2026-07", "3", strict},
	{"TLS13-1-2-CNSA2-INTEROP2-FIPS-PQ-2026-07", "32", strict},
	{"TLS13-1-2-CNSA2-INTEROP3-FIPS-PQ-2026-07", "32", strict},
}

func awsPolicy(short string) (Policy, error) {
	for _, row := range awsPolicies {
		if row.name == short {
			return row.policy()
		}
	}
	return Policy{}, fmt.Errorf("TLS policy %s: AWS has no policy of that name", strconv.Quote(awsPrefix+short))
}

// policy is the closest safe subset: nothing that AWS's policy lacks is
// offered, except ChaCha20 in TLS 1.3, which crypto/tls always offers and
// which all of AWS's policies with TLS 1.3 but those for FIPS have.
func (a awsRow) policy() (Policy, error) {
	p := Policy{Name: awsPrefix + a.name, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
		Groups: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}}
	note := func(s string) { p.Notes = append(p.Notes, s) }

	if a.suites == strict {
		return Policy{}, fmt.Errorf("TLS policy %q: it promises CNSA algorithms alone (AES-256, P-384, RSA-3072), "+
			"to which Go's crypto/tls cannot be confined in TLS 1.3; want another policy", p.Name)
	}
	if strings.Contains(a.name, "FIPS") {
		if !fips140.Enabled() {
			return Policy{}, fmt.Errorf("TLS policy %q: it promises a FIPS 140-3 module, which is not in use; "+
				"start countersign with GODEBUG=fips140=on, or use the policy without FIPS in its name", p.Name)
		}
		p.Groups = []tls.CurveID{tls.CurveP256, tls.CurveP384}
		note("The cryptographic module is Go's (crypto/fips140), not AWS-LC's.")
	}
	if strings.Contains(a.name, "PQ") {
		p.Groups = append([]tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024}, p.Groups...)
	}
	if strings.Contains(a.versions, "3") {
		p.MaxVersion = tls.VersionTLS13
	}
	switch {
	case strings.Contains(a.versions, "0"):
		note("TLS 1.0 and 1.1 are not offered (RFC 8996).")
	case strings.Contains(a.versions, "1"):
		note("TLS 1.1 is not offered (RFC 8996).")
	}
	if a.suites == none {
		p.MinVersion = tls.VersionTLS13
		return p, nil
	}
	p.CipherSuites = append(p.CipherSuites,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)
	if a.suites == cbcSHA || a.suites >= rsaSHA {
		p.CipherSuites = append(p.CipherSuites,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA)
	}
	if a.suites >= cbcSHA2 {
		note("Cipher suites with AES-CBC and SHA-256 or SHA-384 are not offered: crypto/tls has the first without protection against timing attacks, the second not at all.")
	}
	if a.suites >= rsaSHA2 {
		note("Cipher suites with RSA key transport (AES128-GCM-SHA256 and the like) are not offered: they have no forward secrecy (RFC 9325 section 4.1).")
	}
	if a.suites == rsa3DES {
		note("3DES is not offered.")
	}
	return p, nil
}
