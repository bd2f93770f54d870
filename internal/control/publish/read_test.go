package publish_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/testpki"
)

// A person who writes a configuration hears of everything at once: what is
// wrong in it, and in the files that it names.
func TestFaultsOfTheConfigurationAndOfItsFilesComeTogether(t *testing.T) {
	dir := t.TempDir()
	root := testpki.NewRoot(t, "Root")
	root.Server("localhost").Write(dir, "server")
	testpki.WriteFile(t, filepath.Join(dir, "ca.crt"), []byte("not a certificate\n"))
	path := filepath.Join(dir, "countersign.yaml")
	testpki.WriteFile(t, path, []byte(`
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: missing.key}]
    client_auth: {mode: verfy, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - {name: fleet, ca_bundle: [ca.crt], revocation: {crls: [missing.crl]}}
target_groups:
  - {name: app, targets: ["127.0.0.1:9"], colour: blue}
`))
	draft, faults := publish.Read(t.Context(), path, publish.Options{}, nil)
	if draft != nil {
		t.Error("a draft was made of a configuration with faults")
	}
	report := faults.Error()
	for _, want := range []string{
		"certificates[0].key: found " + filepath.Join(dir, "missing.key"),
		"client_auth.mode: found \"verfy\"",
		"ca_bundle[0]: found " + filepath.Join(dir, "ca.crt"),
		"crls[0]: found " + filepath.Join(dir, "missing.crl"),
		"colour: found an unknown key",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	if n := strings.Count(report, "\n") + 1; n != 6 {
		t.Errorf("%d faults, want the 6 that there are:\n%s", n, report)
	}
}

// An issuer whose list is taken away un-revokes what it had revoked. That may be
// meant; it is said.
func TestAListThatIsTakenAwayIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	root, other := testpki.NewRoot(t, "Root"), testpki.NewRoot(t, "Other")
	root.Server("localhost").Write(dir, "server")
	testpki.WriteFile(t, filepath.Join(dir, "ca.crt"), append(root.PEM(), other.PEM()...))
	list := func(of *testpki.Certificate) {
		testpki.WriteFile(t, filepath.Join(dir, "crl.pem"), testpki.CRLPEM(of.CRL()))
	}
	path := filepath.Join(dir, "countersign.yaml")
	testpki.WriteFile(t, path, []byte(`
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    default: {forward: app}
trust_stores:
  - {name: fleet, ca_bundle: [ca.crt], revocation: {crls: [crl.pem]}}
target_groups:
  - {name: app, targets: ["127.0.0.1:9"]}
`))
	list(root)
	before, faults := publish.Read(t.Context(), path, publish.Options{}, nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if err := os.Remove(filepath.Join(dir, "crl.pem")); err != nil {
		t.Fatal(err)
	}
	list(other)
	_, faults = publish.Read(t.Context(), path, publish.Options{InForce: before}, nil)
	if len(faults) != 1 || !faults[0].Warning || !strings.Contains(faults[0].String(), `CN=Root`) {
		t.Errorf("want one warning that names the issuer, got: %v", faults)
	}
}
