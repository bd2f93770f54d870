package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// cmdIssuer is about an issuer of tokens called NAME:
//
//	issuer NAME keys FILE                        makes a key, and writes the JWK set with it
//	issuer NAME token FILE CLAIMS [CERTIFICATE]  writes Authorization: Bearer with a token
//
// CLAIMS are JSON; exp is in an hour where they do not say. With the file of a
// certificate, the token belongs to it (RFC 8705 section 3.1).
func cmdIssuer(ts *testscript.TestScript, neg bool, args []string) {
	s := stageOf(ts)
	if s.issuers == nil {
		s.issuers = map[string]jose.JSONWebKey{}
	}
	switch {
	case !neg && len(args) == 3 && args[1] == "keys":
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		id := rand.Text()
		s.issuers[args[0]] = jose.JSONWebKey{Key: key, KeyID: id}
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: id, Use: "sig", Algorithm: "ES256"}}})
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), set, 0o600))
	case !neg && (len(args) == 4 || len(args) == 5) && args[1] == "token":
		claims := map[string]any{}
		ts.Check(json.Unmarshal([]byte(args[3]), &claims))
		if claims["exp"] == nil {
			claims["exp"] = time.Now().Add(time.Hour).Unix()
		}
		if len(args) == 5 {
			block, _ := pem.Decode([]byte(ts.ReadFile(args[4])))
			if block == nil {
				ts.Fatalf("%s has no certificate", args[4])
			}
			sum := sha256.Sum256(block.Bytes)
			claims["cnf"] = map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.issuers[args[0]]}, nil)
		ts.Check(err)
		payload, err := json.Marshal(claims)
		ts.Check(err)
		signed, err := signer.Sign(payload)
		ts.Check(err)
		text, err := signed.CompactSerialize()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte("Authorization: Bearer "+text+"\n"), 0o600))
	default:
		ts.Fatalf("usage: issuer NAME keys FILE, issuer NAME token FILE CLAIMS [CERTIFICATE]")
	}
}
