//go:build !pkcs11 || !cgo

package holder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSoftHSM(t *testing.T) {
	t.Skip("keys in tokens are not part of this build: CGO_ENABLED=1 go test -tags pkcs11")
}

func TestAKeyInATokenSaysWhichBuildItTakes(t *testing.T) {
	const uri = "pkcs11:token=fleet;object=issuing?module-path=/usr/lib/libsofthsm2.so&pin-value=1234"
	path := filepath.Join(t.TempDir(), "issuing.key")
	if _, err := Create(Place{Path: path, Token: uri}, ""); err == nil || !strings.Contains(err.Error(), "-tags pkcs11") || strings.Contains(err.Error(), "1234") {
		t.Errorf("error %v, want the build that can", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it left a file behind")
	}
	if err := os.WriteFile(path, []byte(uri+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), "-tags pkcs11") || strings.Contains(err.Error(), "1234") {
		t.Errorf("error %v, want the build that can", err)
	}
}
