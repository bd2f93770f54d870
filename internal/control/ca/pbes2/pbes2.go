package pbes2

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

const (
	// iterations of PBKDF2: what OWASP's password storage cheat sheet asks of
	// HMAC-SHA-256, a quarter of a second here.
	iterations = 600_000
	// maxIterations bounds the time that reading a file can take.
	maxIterations = 10_000_000
	keyLength     = 32 // AES-256
)

var (
	oidPBES2      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedPrivateKeyInfo is RFC 5958 section 3.
type encryptedPrivateKeyInfo struct {
	Algorithm struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters parameters
	}
	Data []byte
}

// parameters are PBES2-params, RFC 8018 appendix A.4.
type parameters struct {
	Derivation struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters struct { // PBKDF2-params, appendix A.2
			Salt       []byte
			Iterations int
			KeyLength  int `asn1:"optional"`
			PRF        pkix.AlgorithmIdentifier
		}
	}
	Encryption struct {
		Algorithm asn1.ObjectIdentifier
		IV        []byte
	}
}

// Encrypt returns key, a PrivateKeyInfo in DER, encrypted.
func Encrypt(key, passphrase []byte) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	info.Algorithm.Algorithm = oidPBES2
	p := &info.Algorithm.Parameters
	p.Derivation.Algorithm = oidPBKDF2
	d := &p.Derivation.Parameters
	d.Salt, d.Iterations = make([]byte, 16), iterations
	d.PRF = pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256, Parameters: asn1.NullRawValue}
	p.Encryption.Algorithm, p.Encryption.IV = oidAES256CBC, make([]byte, aes.BlockSize)
	if _, err := rand.Read(d.Salt); err != nil {
		return nil, err
	}
	if _, err := rand.Read(p.Encryption.IV); err != nil {
		return nil, err
	}
	block, err := p.block(passphrase)
	if err != nil {
		return nil, err
	}
	// Padding, RFC 8018 appendix B.2.5 (RFC 5652 section 6.3): never nothing.
	n := aes.BlockSize - len(key)%aes.BlockSize
	info.Data = append(bytes.Clone(key), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, p.Encryption.IV).CryptBlocks(info.Data, info.Data)
	return asn1.Marshal(info)
}

// ErrPassphrase says that the passphrase is another one, or the file damaged:
// there is no telling.
var ErrPassphrase = errors.New("the passphrase is not the one it was encrypted with")

// Decrypt returns the PrivateKeyInfo, in DER.
func Decrypt(encrypted, passphrase []byte) ([]byte, error) {
	var info encryptedPrivateKeyInfo
	rest, err := asn1.Unmarshal(encrypted, &info)
	p := info.Algorithm.Parameters
	d := p.Derivation.Parameters
	if err != nil || len(rest) > 0 || !info.Algorithm.Algorithm.Equal(oidPBES2) || !p.Derivation.Algorithm.Equal(oidPBKDF2) ||
		!d.PRF.Algorithm.Equal(oidHMACSHA256) || !p.Encryption.Algorithm.Equal(oidAES256CBC) ||
		d.KeyLength != 0 && d.KeyLength != keyLength || len(p.Encryption.IV) != aes.BlockSize {
		return nil, errors.New("it is encrypted in another way: expected PBES2 with PBKDF2, HMAC-SHA-256 and AES-256-CBC; convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256 -in OLD -out NEW`")
	}
	if d.Iterations < 1000 || d.Iterations > maxIterations {
		return nil, fmt.Errorf("its key derivation has %d iterations: expected 1000 to %d", d.Iterations, maxIterations)
	}
	if len(info.Data) == 0 || len(info.Data)%aes.BlockSize != 0 {
		return nil, errors.New("it is cut off")
	}
	block, err := p.block(passphrase)
	if err != nil {
		return nil, err
	}
	key := make([]byte, len(info.Data))
	cipher.NewCBCDecrypter(block, p.Encryption.IV).CryptBlocks(key, info.Data)
	n := int(key[len(key)-1])
	if n == 0 || n > aes.BlockSize || !bytes.Equal(key[len(key)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, ErrPassphrase
	}
	return key[:len(key)-n], nil
}

func (p parameters) block(passphrase []byte) (cipher.Block, error) {
	d := p.Derivation.Parameters
	key, err := pbkdf2.Key(sha256.New, string(passphrase), d.Salt, d.Iterations, keyLength)
	if err != nil {
		return nil, fmt.Errorf("derive a key from the passphrase: %w", err)
	}
	return aes.NewCipher(key)
}
