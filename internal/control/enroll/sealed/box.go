package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/control/secret"
)

// keySize is that of AES-256; nameSize says how much of its digest names a key.
const (
	keySize  = 32
	nameSize = 8
)

// A Box seals with AES-256-GCM (NIST SP 800-38D).
type Box struct {
	path string
	name []byte
	aead cipher.AEAD
}

// Open reads the key in the file at path, and makes one where there is none. It
// refuses a key that others may read. A directory that is not there is made.
func Open(path string) (*Box, error) {
	key, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keySize)
		rand.Read(key)
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err = durable.CreateFile(path, key, 0o600); errors.Is(err, fs.ErrExist) {
			key, err = read(path) // somebody else was faster
		}
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(append([]byte("countersign node key\x00"), key...))
	return &Box{path: path, name: digest[:nameSize], aead: aead}, nil
}

func read(path string) ([]byte, error) {
	key, err := secret.Read(path, "whatever was sealed under it may be known to them")
	if err == nil && len(key) != keySize {
		err = fmt.Errorf("%s has %d bytes, a node key has %d: restore it from a backup", path, len(key), keySize)
	}
	return key, err
}

// Seal encrypts a secret that belongs to owner.
func (b *Box) Seal(secret []byte, owner string) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce)
	out := append(bytes.Clone(b.name), nonce...)
	return b.aead.Seal(out, nonce, secret, []byte(owner))
}

// Open decrypts what Seal made for the same owner.
func (b *Box) Open(sealed []byte, owner string) ([]byte, error) {
	n := nameSize + b.aead.NonceSize()
	if len(sealed) < n || !bytes.Equal(sealed[:nameSize], b.name) {
		return nil, fmt.Errorf("it was sealed under another key than the one in %s: nodes that share a store share this file too", b.path)
	}
	secret, err := b.aead.Open(nil, sealed[nameSize:n], sealed[n:], []byte(owner))
	if err != nil {
		return nil, fmt.Errorf("what was sealed for %s was altered, or belongs to another", owner)
	}
	return secret, nil
}
