package holder

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"countersign.dev/internal/control/ca/issuance"
	"countersign.dev/internal/control/ca/pbes2"
	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/durable"
	"countersign.dev/internal/control/secret"
)

// A Key signs, until it is closed.
type Key interface {
	crypto.Signer
	Close() error
}

// ErrLocked says that a key needs a passphrase, and none was given.
var ErrLocked = errors.New("it is encrypted: give its passphrase")

// Open opens the key that the file at path holds, or leads to. The passphrase
// is not looked at where none is needed. Errors never say anything of a key.
func Open(path string, passphrase []byte) (Key, error) {
	data, err := secret.Read(path, secret.Disclosed(path))
	if err != nil {
		return nil, err
	}
	if uri, ok := tokenURI(data); ok {
		key, err := openToken(uri)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemfile.EncryptedKey {
		key, err := pemfile.ReadKey(path)
		if err != nil {
			return nil, err
		}
		return inMemory{key}, nil
	}
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	der, err := pbes2.Decrypt(block.Bytes, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, pbes2.ErrPassphrase)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New(path + " holds a key that cannot sign")
	}
	return inMemory{signer}, nil
}

// A Place is where a new key is to be.
type Place struct {
	Path       string
	Passphrase []byte // none: the key is not encrypted
	Token      string // URI of a key in a token, which is made unless it is there: the file has the URI alone
}

// Create makes a key of that kind, and the file for it, which must not exist.
func Create(p Place, kind issuance.KeyType) (Key, error) {
	if p.Token == "" {
		signer, err := kind.Generate()
		if err != nil {
			return nil, err
		}
		data, err := encode(signer, p.Passphrase)
		if err != nil {
			return nil, err
		}
		return inMemory{signer}, durable.CreateFile(p.Path, data, 0o600)
	}
	uri, ok := tokenURI([]byte(p.Token))
	if !ok {
		return nil, fmt.Errorf("%q is not the URI of a key in a token: expected pkcs11:token=NAME;object=NAME?module-path=LIBRARY&pin-source=FILE (RFC 7512)", redact(p.Token))
	}
	key, err := createToken(uri, kind)
	if err != nil {
		return nil, err
	}
	if err := durable.CreateFile(p.Path, []byte(uri+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, key.Close())
	}
	return key, nil
}

func encode(key crypto.Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return pemfile.EncodeKey(key)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the private key: %w", err)
	}
	encrypted, err := pbes2.Encrypt(der, passphrase)
	if err != nil {
		return nil, err
	}
	return pemfile.Encode(pemfile.EncryptedKey, encrypted), nil
}

// inMemory is a key that this process has itself.
type inMemory struct{ crypto.Signer }

func (inMemory) Close() error { return nil }

// minPassphrase is what keeps guessing expensive; better are five words.
const minPassphrase = 12

// ReadPassphrase reads a passphrase from the first line of a file that nobody
// but its owner may read.
func ReadPassphrase(path string) ([]byte, error) {
	data, err := secret.Read(path, secret.Disclosed(path))
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) < minPassphrase {
		return nil, fmt.Errorf("the passphrase in %s has %d bytes: expected at least %d, for instance from `openssl rand -base64 24`", path, len(line), minPassphrase)
	}
	return line, nil
}

// tokenURI takes the URI of a key out of a key file.
func tokenURI(data []byte) (uri string, ok bool) {
	uri = strings.TrimSpace(string(data))
	return uri, strings.HasPrefix(uri, "pkcs11:") && !strings.ContainsAny(uri, " \n")
}

// redact takes out of a URI what could be a PIN.
func redact(uri string) string {
	before, _, secret := strings.Cut(uri, "pin-value=")
	if secret {
		return before + "pin-value=..."
	}
	return uri
}
