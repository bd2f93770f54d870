package credential_test

import (
	"os"
	"path/filepath"
	"testing"

	"countersign.dev/internal/control/credential"
	proof "countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/credential/apikey"
)

func TestAKeyIsKnownByTheLineThatIsAppended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.txt")
	keys := map[string]string{credential.NewKey(): "a", credential.NewKey(): "a", credential.NewKey(): "b"}
	if len(keys) != 3 {
		t.Fatal("a key was made twice")
	}
	for key, id := range keys {
		if err := credential.AppendKey(file, id, key); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file) // without its last end of line, as an editor may leave it
		if err == nil {
			err = os.WriteFile(file, data[:len(data)-1], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	data, _ := os.ReadFile(file)
	known, faults := apikey.Parse("x", data)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for key, want := range keys {
		if id, _, failed := known.Quick([]byte(key), proof.Circumstances{}); id != want || failed != nil {
			t.Errorf("%q, %v; want %q", id, failed, want)
		}
	}
}
