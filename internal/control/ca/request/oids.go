package request

import "crypto/x509"

// purposes are the extended key usages that a request is told about by name.
var purposes = map[string]struct {
	name  string
	usage x509.ExtKeyUsage
}{
	"2.5.29.37.0":       {"anyExtendedKeyUsage", x509.ExtKeyUsageAny},
	"1.3.6.1.5.5.7.3.1": {"serverAuth", x509.ExtKeyUsageServerAuth},
	"1.3.6.1.5.5.7.3.2": {"clientAuth", x509.ExtKeyUsageClientAuth},
	"1.3.6.1.5.5.7.3.3": {"codeSigning", x509.ExtKeyUsageCodeSigning},
	"1.3.6.1.5.5.7.3.4": {"emailProtection", x509.ExtKeyUsageEmailProtection},
	"1.3.6.1.5.5.7.3.8": {"timeStamping", x509.ExtKeyUsageTimeStamping},
	"1.3.6.1.5.5.7.3.9": {"OCSPSigning", x509.ExtKeyUsageOCSPSigning},
}

// extensions are those that a request is told about by name when they are ignored.
var extensions = map[string]string{
	"2.5.29.18":              "issuerAltName",
	"2.5.29.30":              "nameConstraints",
	"2.5.29.31":              "cRLDistributionPoints",
	"2.5.29.32":              "certificatePolicies",
	"2.5.29.35":              "authorityKeyIdentifier",
	"2.5.29.36":              "policyConstraints",
	"1.3.6.1.5.5.7.1.1":      "authorityInfoAccess",
	"1.3.6.1.5.5.7.1.24":     "tlsFeature",
	"2.16.840.1.113730.1.1":  "netscapeCertType",
	"2.16.840.1.113730.1.13": "netscapeComment",
	"1.3.6.1.4.1.311.20.2":   "certificateTemplateName",
}
