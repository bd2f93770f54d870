//go:build pkcs11 && cgo

package holder

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"

	"github.com/ThalesGroup/crypto11"

	"countersign.dev/internal/control/ca/issuance"
)

// A tokenKey signs inside its token.
type tokenKey struct {
	crypto.Signer
	session io.Closer
}

func (k tokenKey) Close() error { return k.session.Close() }

func openToken(uri string) (Key, error) {
	t, session, err := logIn(uri)
	if err != nil {
		return nil, err
	}
	key, err := find(session, t)
	if err == nil && key == nil {
		err = fmt.Errorf("the token %q has no key pair %q", t.label, t.object)
	}
	if err != nil {
		session.Close() // there is another error to tell
		return nil, err
	}
	return tokenKey{key, session}, nil
}

// createToken makes a key, unless there is one of that name: whoever has given
// it a key already has done so on purpose.
func createToken(uri string, kind issuance.KeyType) (Key, error) {
	t, session, err := logIn(uri)
	if err != nil {
		return nil, err
	}
	label := []byte(t.object)
	key, err := find(session, t)
	if err == nil && key == nil {
		id := make([]byte, 16)
		if _, err = rand.Read(id); err == nil {
			switch kind {
			case issuance.ECDSAP256, "":
				key, err = session.GenerateECDSAKeyPairWithLabel(id, label, elliptic.P256())
			case issuance.ECDSAP384:
				key, err = session.GenerateECDSAKeyPairWithLabel(id, label, elliptic.P384())
			case issuance.RSA2048:
				key, err = session.GenerateRSAKeyPairWithLabel(id, label, 2048)
			case issuance.RSA3072:
				key, err = session.GenerateRSAKeyPairWithLabel(id, label, 3072)
			case issuance.RSA4096:
				key, err = session.GenerateRSAKeyPairWithLabel(id, label, 4096)
			default:
				_, err = issuance.ParseKeyType(string(kind))
			}
		}
	}
	if err != nil {
		session.Close() // there is another error to tell
		return nil, fmt.Errorf("the token %q: %w", t.label, err)
	}
	return tokenKey{key, session}, nil
}

// find returns the key that the URI means; nil when there is none.
func find(session *crypto11.Context, t token) (crypto.Signer, error) {
	keys, err := session.FindKeyPairs(nil, []byte(t.object))
	switch {
	case err != nil || len(keys) == 0:
		return nil, err
	case len(keys) > 1:
		return nil, fmt.Errorf("the token %q has %d key pairs %q: expected one", t.label, len(keys), t.object)
	}
	return keys[0], nil
}

func logIn(uri string) (token, *crypto11.Context, error) {
	t, err := parseToken(uri)
	if err != nil {
		return token{}, nil, err
	}
	session, err := crypto11.Configure(&crypto11.Config{Path: t.module, TokenLabel: t.label, Pin: t.pin})
	if err != nil {
		return token{}, nil, fmt.Errorf("the token %q through %s: %w", t.label, t.module, err)
	}
	return t, session, nil
}
