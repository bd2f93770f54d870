package bundle

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"countersign.dev/internal/control/ca/pemfile"
	"countersign.dev/internal/control/ca/pubkey"
)

// Read returns the chain, the device's certificate first, and its private key as PKCS
// #8 in PEM.
func Read(data []byte) (chain []*x509.Certificate, key []byte, err error) {
	var signer crypto.Signer
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			chain = append(chain, c)
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			if signer != nil {
				return nil, nil, errors.New("it has two private keys")
			}
			if signer, err = parseKey(block); err != nil {
				return nil, nil, err
			}
		default:
			return nil, nil, fmt.Errorf("it has a %s: expected certificates and one private key that is not encrypted", block.Type)
		}
	}
	switch {
	case len(bytes.TrimSpace(data)) > 0:
		return nil, nil, errors.New("it is not PEM to its end")
	case len(chain) == 0 || signer == nil:
		return nil, nil, fmt.Errorf("it has %d certificates and %s: expected the device's, those behind it, and its key", len(chain), map[bool]string{true: "no private key", false: "a private key"}[signer == nil])
	case !pubkey.Equal(chain[0].PublicKey, signer.Public()):
		return nil, nil, errors.New("the private key is not that of its first certificate")
	}
	key, err = pemfile.EncodeKey(signer)
	return chain, key, err
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("its private key cannot be read") // without a word of it
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its private key cannot sign")
	}
	return signer, nil
}
