package holder

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/control/ca/pbes2"
	"countersign.dev/internal/control/ca/pubkey"
)

func TestAKeyIsOpenedAsItWasMade(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse battery"} {
		path := filepath.Join(t.TempDir(), "issuing.key")
		made, err := Create(Place{Path: path, Passphrase: []byte(passphrase)}, "ecdsa-p384")
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v; want mode 0600", info, err)
		}
		if _, err := Create(Place{Path: path}, ""); !errors.Is(err, os.ErrExist) {
			t.Errorf("over another: %v", err)
		}
		opened, err := Open(path, []byte(passphrase))
		if err != nil || !pubkey.Equal(made.Public(), opened.Public()) {
			t.Fatalf("another key, %v", err)
		}
		digest := sha256.Sum256(nil)
		if _, err := opened.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			t.Error(err)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if plain := bytes.Contains(data, []byte("BEGIN PRIVATE KEY")); plain != (passphrase == "") {
			t.Errorf("the key is plain: %t", plain)
		}
		if passphrase == "" {
			continue
		}
		if _, err := Open(path, nil); !errors.Is(err, ErrLocked) {
			t.Errorf("without the passphrase: %v", err)
		}
		if _, err := Open(path, []byte("correct horse batterz")); !errors.Is(err, pbes2.ErrPassphrase) {
			t.Errorf("with another: %v", err)
		}
	}
}

func TestSecretsAreReadFromFilesOfTheirOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	for _, tc := range []struct {
		content string
		mode    os.FileMode
		want    string
	}{
		{"twelve bytes\nand more", 0o600, ""},
		{"twelve bytes\r\n", 0o400, ""},
		{"too short", 0o600, "9 bytes: expected at least 12"},
		{"twelve bytes", 0o640, "open to others (mode 0640)"},
		{strings.Repeat("x", 2<<20), 0o600, "not a small file"},
	} {
		os.Remove(path)
		if err := os.WriteFile(path, []byte(tc.content), tc.mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPassphrase(path)
		switch {
		case tc.want == "" && (err != nil || string(got) != "twelve bytes"):
			t.Errorf("%q, %v", got, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("error %v, want %q", err, tc.want)
		case err != nil && strings.Contains(err.Error(), "too short"):
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestTokenURIs(t *testing.T) {
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte("1234\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const module = "?module-path=/usr/lib/libsofthsm2.so"
	for _, tc := range []struct{ uri, want string }{
		{"pkcs11:token=fleet;object=issuing" + module + "&pin-source=file:" + pin, ""},
		{"pkcs11:object=issuing;type=private;token=fleet" + module + "&pin-source=" + pin, ""},
		{"pkcs11:token=fle%65t;object=issuing" + module + "&pin-value=1234", ""},
		{"pkcs11:token=fleet" + module + "&pin-value=1234", "lacks token, object or module-path"},
		{"pkcs11:token=fleet;object=issuing?pin-value=1234", "lacks token, object or module-path"},
		{"pkcs11:token=fleet;object=issuing" + module, "pin-source and pin-value both, or neither"},
		{"pkcs11:token=fleet;object=issuing" + module + "&pin-value=1234&pin-source=" + pin, "both, or neither"},
		{"pkcs11:token=fleet;object=issuing;id=%01" + module + "&pin-value=1234", "has id, which is unknown"},
		{"pkcs11:token=fleet;token=other;object=issuing" + module + "&pin-value=1234", "has token, which is unknown, empty or twice"},
		{"pkcs11:token=fleet;object=issuing;type=cert" + module + "&pin-value=1234", "expected type=private"},
		{"pkcs11:token=fleet;object=issuing" + module + "&pin-source=/nonexistent", "the token's PIN"},
	} {
		got, err := parseToken(tc.uri)
		switch {
		case tc.want == "" && (err != nil || got != token{"fleet", "issuing", "/usr/lib/libsofthsm2.so", "1234"}):
			t.Errorf("%s: %+v, %v", tc.uri, got, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: error %v, want %q", tc.uri, err, tc.want)
		case err != nil && strings.Contains(err.Error(), "1234"):
			t.Errorf("the error tells the PIN: %v", err)
		}
	}
	if _, err := Create(Place{Path: filepath.Join(t.TempDir(), "key"), Token: "https://token?pin-value=1234"}, ""); err == nil || strings.Contains(err.Error(), "1234") {
		t.Errorf("error %v, want one without the PIN", err)
	}
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{
		"nonsense": "no PEM block", "": "no PEM block",
		"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n": "encrypted in another way",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, []byte("a passphrase")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", content, err, want)
		}
	}
}
