package claim_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"countersign.dev/internal/control/enroll/claim"
)

// What is kept of a secret tells it from others, and is another one each time.
func TestASecretIsKeptAsAHashAlone(t *testing.T) {
	const secret = "the secret on the label"
	one, err := claim.HashSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	two, err := claim.HashSecret(secret)
	if err != nil || string(one) == string(two) || strings.Contains(string(one), secret) {
		t.Errorf("kept as %x and %x, %v", one, two, err)
	}
	for _, kept := range [][]byte{one, two} {
		if !claim.SameSecret(kept, secret) {
			t.Error("it is not known again")
		}
	}
	for _, other := range []string{"", "the secret on the labe", secret + " ", strings.Repeat("x", 2000)} {
		if claim.SameSecret(one, other) {
			t.Errorf("%q is taken for it", other)
		}
	}
	if claim.SameSecret(nil, "") || claim.SameSecret(one[:10], secret) {
		t.Error("what was not kept is known")
	}
}

func FuzzReadKey(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("ab", 32))
	f.Add("sha256/" + strings.Repeat("A", 43) + "=")
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := claim.ReadKey(text); err == nil && len(key) != sha256.Size {
			t.Errorf("%q is a key of %d bytes", text, len(key))
		}
	})
}
