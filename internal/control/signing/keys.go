package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TokenType is the typ of what is signed, so that it cannot be taken for any other
// JWT (RFC 8725 section 3.11).
const TokenType = "client-identity+jwt"

// ring is what a file of keys says.
type ring struct {
	Active  jose.JSONWebKey `json:"active"`
	Since   time.Time       `json:"since"` // Active is in use
	Next    jose.JSONWebKey `json:"next"`
	Retired []retired       `json:"retired,omitempty"`
}

// A retired key is public.
type retired struct {
	Key   jose.JSONWebKey `json:"key"`
	Until time.Time       `json:"until"` // it is published
}

func newRing(now time.Time) (*ring, error) {
	active, err := newKey()
	if err != nil {
		return nil, err
	}
	next, err := newKey()
	return &ring{Active: active, Since: now.UTC(), Next: next}, err
}

// newKey makes a key whose kid is its thumbprint (RFC 7638).
func newKey() (jose.JSONWebKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("make a key that signs tokens: %w", err)
	}
	k := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := k.Thumbprint(crypto.SHA256)
	k.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return k, err
}

// turned is r with the next key in use.
func (r *ring) turned(now time.Time) (*ring, error) {
	next, err := newKey()
	if err != nil {
		return nil, err
	}
	t := &ring{Active: r.Next, Since: now.UTC(), Next: next, Retired: []retired{{r.Active.Public(), now.Add(afterlife).UTC()}}}
	for _, old := range r.Retired {
		if now.Before(old.Until) {
			t.Retired = append(t.Retired, old)
		}
	}
	return t, nil
}

// signer signs with the key in use.
func (r *ring) signer() (jose.Signer, error) {
	return jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: r.Active}, (&jose.SignerOptions{}).WithType(TokenType))
}

// public is the JWK Set of all keys (RFC 7517 section 5).
func (r *ring) public(now time.Time) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{r.Active.Public(), r.Next.Public()}}
	for _, old := range r.Retired {
		if now.Before(old.Until) {
			set.Keys = append(set.Keys, old.Key)
		}
	}
	return json.Marshal(set)
}

// check says what is wrong with a ring that was read.
func (r *ring) check() error {
	for name, k := range map[string]jose.JSONWebKey{"active": r.Active, "next": r.Next} {
		private, ok := k.Key.(*ecdsa.PrivateKey)
		if !ok || private.Curve != elliptic.P256() || k.KeyID == "" || k.Algorithm != string(jose.ES256) {
			return fmt.Errorf("%q is no private key of P-256 with a kid, for ES256", name)
		}
	}
	for i, old := range r.Retired {
		if _, ok := old.Key.Key.(*ecdsa.PublicKey); !ok {
			return fmt.Errorf("retired[%d] is no public key", i)
		}
	}
	return nil
}
