package sealed

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatIsSealedIsOpenedForItsOwnerUnderItsKeyAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "node.key")
	box, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file: %v, %v", info.Mode(), err)
	}
	secret := []byte("-----BEGIN PRIVATE KEY-----")
	sealed := box.Seal(secret, "one")
	if bytes.Contains(sealed, secret[:8]) || bytes.Equal(sealed, box.Seal(secret, "one")) {
		t.Error("it is not sealed, or each time in the same way")
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(sealed, "one"); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("opened again: %q, %v", got, err)
	}
	other, err := Open(filepath.Join(t.TempDir(), "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for _, c := range []struct {
		box    *Box
		sealed []byte
		owner  string
		want   string
	}{
		{box, sealed, "two", "belongs to another"},
		{box, altered, "one", "altered"},
		{other, sealed, "one", "another key"},
		{box, sealed[:5], "one", "another key"},
	} {
		if got, err := c.box.Open(c.sealed, c.owner); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "0640") {
		t.Errorf("a key that others may read: %v", err)
	}
}
