package publish_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/forward/upstream/secure"
)

// A vault is a directory with the files that a target group over TLS names.
type vault struct {
	t    *testing.T
	dir  string
	root *testpki.Certificate
}

func newVault(t *testing.T) *vault {
	v := &vault{t: t, dir: t.TempDir(), root: testpki.NewRoot(t, "Root")}
	v.root.Client("gateway").Write(v.dir, "gateway")
	testpki.WriteFile(t, filepath.Join(v.dir, "ca.crt"), v.root.PEM())
	v.revoke(1)
	return v
}

func (v *vault) revoke(number int64, certs ...*testpki.Certificate) {
	testpki.WriteFile(v.t, filepath.Join(v.dir, "ca.crl"), testpki.CRLPEM(v.root.CRL(testpki.CRLNumber(number), testpki.Revoke(certs...))))
}

const vaultTLS = `certificate: {cert: gateway.crt, key: gateway.key}, ca_bundle: ca.crt, crls: ca.crl`

// read compiles a configuration whose target group says this of TLS.
func (v *vault) read(before *publish.Draft, tls string) (*publish.Draft, error) {
	path := filepath.Join(v.dir, "countersign.yaml")
	testpki.WriteFile(v.t, path, []byte(`node: {admin: off}
listeners:
  - {name: web, address: "127.0.0.1:0", protocol: http, default: {forward: vault}}
target_groups:
  - {name: vault, protocol: https, targets: ["127.0.0.1:1"], tls: {`+tls+`}}
`))
	draft, faults := publish.Read(v.t.Context(), path, publish.Options{InForce: before}, nil)
	if draft == nil {
		return nil, faults
	}
	return draft, nil
}

func (v *vault) client(before *publish.Draft, tls string) (*publish.Draft, *secure.Client) {
	v.t.Helper()
	draft, err := v.read(before, tls)
	if err != nil {
		v.t.Fatal(err)
	}
	return draft, draft.Groups[0].TLS
}

// Connections and sessions that were made under the same settings stay in use.
func TestTheTLSOfAGroupIsTheSameUntilSomethingChanges(t *testing.T) {
	v := newVault(t)
	first, before := v.client(nil, vaultTLS)
	second, same := v.client(first, vaultTLS)
	if same != before {
		t.Error("nothing has changed, and it is another one")
	}
	for what, change := range map[string]func() string{
		"our certificate": func() string { v.root.Client("renewed").Write(v.dir, "gateway"); return vaultTLS },
		"a list":          func() string { v.revoke(2, v.root.Server("lost")); return vaultTLS },
		"the name":        func() string { return vaultTLS + ", server_name: api.internal" },
		"pins":            func() string { return vaultTLS + `, pins: "` + secure.Pin(v.root.X509) + `"` },
	} {
		if _, changed := v.client(second, change()); changed == before || changed == nil {
			t.Errorf("%s changed, and nothing else did", what)
		}
	}
}

func TestTheDatesOfTheTLSOfAGroupAreKnown(t *testing.T) {
	v := newVault(t)
	draft, _ := v.client(nil, vaultTLS)
	found := map[string]time.Time{}
	for _, e := range draft.Expiries {
		if e.Owner != "vault" {
			t.Errorf("%+v", e)
		}
		found[e.Kind+" "+filepath.Base(e.Name)] = e.At
	}
	for _, want := range []string{"target_client_certificate gateway.crt", "target_ca_certificate ca.crt", "target_crl ca.crl"} {
		if found[want].IsZero() {
			t.Errorf("nothing is known of %s: %v", want, found)
		}
	}
}

// An old list in the place of a newer one would take certificates back that are revoked.
func TestAnOlderListForTargetsIsRefused(t *testing.T) {
	v := newVault(t)
	v.revoke(7)
	draft, _ := v.client(nil, vaultTLS)
	v.revoke(6)
	if _, err := v.read(draft, vaultTLS); err == nil || !strings.Contains(err.Error(), "target_groups[0].tls.crls") {
		t.Errorf("%v", err)
	}
}

// CVE-2022-46153, CVE-2026-27586: a bundle that cannot be read trusts nobody.
func TestABundleForTargetsThatCannotBeReadIsAFault(t *testing.T) {
	v := newVault(t)
	for name, content := range map[string]string{"missing": "", "empty": " ", "garbage": "not PEM\n", "no authority": string(v.root.Server("x").PEM())} {
		if name != "missing" {
			testpki.WriteFile(t, filepath.Join(v.dir, "bad.crt"), []byte(content))
		}
		if draft, err := v.read(nil, "ca_bundle: bad.crt"); draft != nil || !strings.Contains(err.Error(), "target_groups[0].tls.ca_bundle[0]") {
			t.Errorf("%s: %v", name, err)
		}
		testpki.WriteFile(t, filepath.Join(v.dir, "bad.crt"), nil)
	}
}

// Whoever does not verify is told again and again.
func TestTargetsThatAreNotVerifiedAreWarnedOfAtEachPublication(t *testing.T) {
	r := newRig(t, plainConfig, nil)
	open := strings.Replace(plainConfig, `{name: app, targets`, `{name: app, protocol: https, tls: {verify: false}, targets`, 1)
	r.config(open)
	for n := 1; n <= 2; n++ {
		if err := r.publisher.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.program.wait(t, "target_groups[0].tls.verify", n)
	}
}
