package publish_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/config"
	"countersign.dev/internal/control/publish"
	"countersign.dev/internal/traffic/credential/apikey"
)

const guarded = `
listeners:
  - {name: plain, address: "127.0.0.1:0", protocol: http, require: KIND, default: {forward: api}}
target_groups: [{name: api, targets: "127.0.0.1:9001"}]
credentials:
  - {name: partners, type: api_key, keys: keys.txt}
  - {name: staff, type: basic, htpasswd: staff.htpasswd}
`

// What a credential has verified stays known for as long as it is the same.
func TestACredentialStaysTheSameUntilItsFileChanges(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var inForce *publish.Draft
	compile := func(kind string) *publish.Draft {
		t.Helper()
		cfg, faults := config.Parse("countersign.yaml", []byte(strings.ReplaceAll(guarded, "KIND", kind)), dir)
		if cfg == nil {
			t.Fatal(faults)
		}
		draft, faults := publish.Compile(cfg, publish.Options{InForce: inForce})
		if draft == nil {
			t.Fatal(faults)
		}
		return draft
	}
	write("keys.txt", apikey.Line("a", "one")+"\n")
	write("staff.htpasswd", "ada:$2y$10$SFqh776AMMvLEOpztezh2u1wVW.ojVjCsQC1Cdlh8ETlYjRnQGQs2\n")
	inForce = compile("[partners, staff]")
	same := compile("{any_of: [partners, staff]}")
	if same.Credentials["partners"].Credential != inForce.Credentials["partners"].Credential || same.Credentials["staff"].Credential != inForce.Credentials["staff"].Credential {
		t.Error("made anew, though nothing of them has changed")
	}
	write("keys.txt", apikey.Line("a", "two")+"\n")
	changed := compile("[partners, staff]")
	if changed.Credentials["partners"].Credential == inForce.Credentials["partners"].Credential {
		t.Error("the keys that were there before are still in force")
	}
	if changed.Credentials["staff"].Credential != inForce.Credentials["staff"].Credential {
		t.Error("the staff was made anew, though only the keys have changed")
	}
}

// T13: what cannot be read opens nothing.
func TestACredentialWhoseFileCannotBeReadIsAFault(t *testing.T) {
	dir := t.TempDir()
	cfg, faults := config.Parse("countersign.yaml", []byte(strings.ReplaceAll(guarded, "KIND", "[partners, staff]")), dir)
	if cfg == nil {
		t.Fatal(faults)
	}
	if err := os.Mkdir(filepath.Join(dir, "keys.txt"), 0o700); err != nil {
		t.Fatal(err)
	}
	draft, faults := publish.Compile(cfg, publish.Options{})
	text := faults.Error()
	if draft != nil || !strings.Contains(text, "keys.txt, which is not a regular file") || !strings.Contains(text, "staff.htpasswd, which cannot be read") {
		t.Errorf("compiled %t, with:\n%s", draft != nil, text)
	}
}
