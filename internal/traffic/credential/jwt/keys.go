package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// MaxSize bounds a set of keys, in bytes, and mostKeys how many are in it.
const (
	MaxSize  = 1 << 20
	mostKeys = 100
)

// Keys are the public keys of an issuer (RFC 7517). They are immutable.
type Keys struct{ all []key }

type key struct {
	id         string
	algorithms []jose.SignatureAlgorithm // that it is good for
	public     any
}

// ParseKeys reads a JWK set. Keys that are not for signatures, or of a kind that
// is not known, are left out (RFC 7517 section 5); those that nobody must know, or
// that are too weak (RFC 7518 section 3.3), are an error.
func ParseKeys(data []byte) (*Keys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("it is no JWK set (RFC 7517 section 5): %w", err)
	}
	if len(set.Keys) > mostKeys {
		return nil, fmt.Errorf("it has %d keys; want at most %d", len(set.Keys), mostKeys)
	}
	keys := &Keys{}
	for i, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if k != nil {
			keys.all = append(keys.all, *k)
		}
	}
	if len(keys.all) == 0 {
		return nil, fmt.Errorf("none of its %d keys can verify a signature; want RSA, EC or Ed25519", len(set.Keys))
	}
	return keys, nil
}

// parseKey returns nil for a key that is for something else.
func parseKey(raw []byte) (*key, error) {
	var purpose struct {
		Type       string   `json:"kty"`
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
		Private    any      `json:"d"`
		Symmetric  any      `json:"k"`
	}
	if err := json.Unmarshal(raw, &purpose); err != nil {
		return nil, err
	}
	switch {
	case purpose.Private != nil:
		return nil, errors.New("it is a private key, which nobody but the issuer may have; take it back, and have the issuer make another")
	case purpose.Symmetric != nil || purpose.Type == "oct":
		return nil, errors.New("it is a symmetric key: who can verify with it can sign; want public keys")
	case purpose.Use != "" && purpose.Use != "sig", len(purpose.Operations) > 0 && !slices.Contains(purpose.Operations, "verify"):
		return nil, nil
	case purpose.Type != "RSA" && purpose.Type != "EC" && purpose.Type != "OKP":
		return nil, nil
	}
	var k jose.JSONWebKey
	err := k.UnmarshalJSON(raw)
	switch {
	case errors.Is(err, jose.ErrUnsupportedKeyType):
		return nil, nil
	case err != nil:
		return nil, err
	case !k.Valid() || !k.IsPublic():
		return nil, errors.New("it is not a valid public key")
	}
	algorithms, err := fitting(k.Key)
	if err != nil {
		return nil, err
	}
	if k.Algorithm != "" {
		if !slices.Contains(algorithms, jose.SignatureAlgorithm(k.Algorithm)) {
			return nil, nil
		}
		algorithms = []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.Algorithm)}
	}
	return &key{k.KeyID, algorithms, k.Key}, nil
}

// fitting returns the algorithms that a public key is good for.
func fitting(public any) ([]jose.SignatureAlgorithm, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < 2048 || bits > 8192 {
			return nil, fmt.Errorf("an RSA key of %d bits; want 2048 to 8192", bits)
		}
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}, nil
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []jose.SignatureAlgorithm{jose.ES256}, nil
		case elliptic.P384():
			return []jose.SignatureAlgorithm{jose.ES384}, nil
		case elliptic.P521():
			return []jose.SignatureAlgorithm{jose.ES512}, nil
		}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}, nil
	}
	return nil, nil
}

// find returns the keys that a token with this header can be signed with: those
// of its key id, or without one the only key there is for its algorithm.
func (k *Keys) find(id string, algorithm jose.SignatureAlgorithm) []key {
	var fit []key
	for _, candidate := range k.all {
		if slices.Contains(candidate.algorithms, algorithm) && (id == "" || candidate.id == id) {
			fit = append(fit, candidate)
		}
	}
	if id == "" && len(fit) > 1 {
		return nil
	}
	return fit
}

// Len is how many keys there are.
func (k *Keys) Len() int { return len(k.all) }
