package claim

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
)

// A secret that is generated cannot be guessed; of one that an operator brings
// along guessing is made slow.
const (
	saltSize   = 16
	iterations = 4096
)

// HashSecret is what is kept of a secret.
func HashSecret(secret string) ([]byte, error) {
	salt := make([]byte, saltSize)
	rand.Read(salt)
	hash, err := pbkdf2.Key(sha256.New, secret, salt, iterations, sha256.Size)
	return append(salt, hash...), err
}

// SameSecret reports whether a secret is the one of which that was kept.
func SameSecret(kept []byte, secret string) bool {
	if len(kept) != saltSize+sha256.Size || len(secret) > 1024 {
		return false
	}
	hash, err := pbkdf2.Key(sha256.New, secret, kept[:saltSize], iterations, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(hash, kept[saltSize:]) == 1
}
