package ca

import (
	"crypto/x509"
	"path/filepath"
	"slices"
	"testing"
	"time"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"countersign.dev/internal/control/ca/crl"
	"countersign.dev/internal/control/ca/issuance"
	clauses "countersign.dev/internal/control/ca/issuance/lint"
)

// What zlint finds that a private authority does on purpose: these rules are
// those of authorities whose roots come with browsers (CA/Browser Forum Baseline
// Requirements), not of RFC 5280.
var onPurpose = map[string]string{
	"e_ca_country_name_missing":                                     "an authority is called as its operator wishes",
	"e_ca_organization_name_missing":                                "an authority is called as its operator wishes",
	"w_root_ca_basic_constraints_path_len_constraint_field_present": "one issuing authority below the root, no more",
	"e_sub_ca_certificate_policies_missing":                         "there is no policy to name",
	"e_sub_cert_certificate_policies_missing":                       "there is no policy to name",
	"e_sub_cert_cert_policy_empty":                                  "there is no policy to name",
	"e_sub_ca_crl_distribution_points_missing":                      "the root signs its list rarely, far away, and it is configured by hand",
	"w_sub_ca_aia_missing":                                          "trust stores have the root",
	"w_sub_ca_aia_does_not_contain_issuing_ca_url":                  "trust stores have the root",
	"e_sub_cert_aia_missing":                                        "where nobody said at which URL it is published",
	"e_sub_cert_aia_does_not_contain_ocsp_url":                      "where nobody said at which URL it is published",
	"w_sub_cert_aia_does_not_contain_issuing_ca_url":                "where nobody said at which URL it is published",
	"w_subject_common_name_included":                                "a common name does no harm beside alternative names",
	"e_ext_san_contains_reserved_ip":                                "private addresses are what a private authority is for",
}

// Every certificate and list passes zlint, of every profile.
func TestZlintPasses(t *testing.T) {
	for _, kind := range []issuance.KeyType{issuance.ECDSAP256, issuance.RSA2048} {
		for _, at := range []clauses.Locations{{}, {CRL: "http://pki.example.com/1.crl", OCSP: "http://pki.example.com/ocsp", Issuer: "http://pki.example.com/1.cer"}} {
			a, err := Init(Founding{Key: kind, Config: Config{Dir: filepath.Join(t.TempDir(), "pki"),
				Locations: func(int) clauses.Locations { return at }}})
			if err != nil {
				t.Fatal(err)
			}
			examine := func(name string, c *x509.Certificate) {
				t.Helper()
				parsed, err := zx509.ParseCertificate(c.Raw)
				if err != nil {
					t.Fatal(err)
				}
				judge(t, name, zlint.LintCertificate(parsed))
			}
			examine("root", a.Root())
			examine("issuing", a.Issuing())
			for name, r := range map[string]Request{
				"device":    {CommonName: "MacID-AA:BB:CC:DD:EE:FF"},
				"bootstrap": {Profile: issuance.Bootstrap, CommonName: "MacID-00:00:00:00:00:00"},
				"client":    {Profile: issuance.Client, Subject: "CN=partner 7,O=Partner Ltd,C=DE", Names: []string{"uri:spiffe://example.com/partner/7", "email:ops@example.com"}},
				"nameless":  {Profile: issuance.Client, Names: []string{"uri:urn:dev:mac:0024befffe804ff1"}},
				"server":    {Profile: issuance.Server, CommonName: "gateway.example.com", Names: []string{"dns:gateway.example.com", "ip:192.0.2.1"}},
			} {
				r.Key, r.Lifetime = kind, 90*day
				issued, err := a.Issue(r)
				if err != nil {
					t.Fatal(err)
				}
				examine(name, issued.Certificate)
				if name == "device" || name == "client" {
					if _, err := a.RevokeCertificate(issued.Certificate, crl.KeyCompromise, time.Time{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			key, err := kind.Generate()
			if err != nil {
				t.Fatal(err)
			}
			delegate, err := a.Delegate(t.Context(), a.Issuing(), key.Public())
			if err != nil {
				t.Fatal(err)
			}
			examine("ocsp", delegate)
			next, err := a.Succeed(t.Context(), Founding{Key: kind, Config: Config{Dir: filepath.Join(t.TempDir(), "next")}})
			if err != nil {
				t.Fatal(err)
			}
			roots, err := next.Roots()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range append(roots, next.Issuing()) {
				examine("succession", c)
			}
			lists, err := a.Lists()
			if err != nil {
				t.Fatal(err)
			}
			for name, list := range map[string]*x509.RevocationList{"issuing list": lists.Issuing, "root list": lists.Root} {
				parsed, err := zx509.ParseRevocationList(list.Raw)
				if err != nil {
					t.Fatal(err)
				}
				judge(t, name, zlint.LintRevocationList(parsed))
			}
		}
	}
}

func judge(t *testing.T, name string, results *zlint.ResultSet) {
	t.Helper()
	looked := 0
	for rule, result := range results.Results {
		if result.Status >= lint.Pass {
			looked++
		}
		if !slices.Contains([]lint.LintStatus{lint.Warn, lint.Error, lint.Fatal}, result.Status) || onPurpose[rule] != "" {
			continue
		}
		t.Errorf("%s: %s: %s %s", name, rule, result.Status, result.Details)
	}
	if looked == 0 {
		t.Errorf("%s: no rule looked at it", name)
	}
}
