package handshake

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"reflect"
	"testing"

	"countersign.dev"
	"countersign.dev/internal/testpki"
)

// The client's own record of how the server has signed is the oracle.
func TestHowTheServerSignsIsTold(t *testing.T) {
	w, web := newWorld(t), testpki.NewRoot(t, "Web Root")
	for key, names := range map[testpki.KeyType]map[tls.SignatureScheme]string{
		testpki.P256:    {tls.ECDSAWithP256AndSHA256: "ecdsa_secp256r1_sha256"},
		testpki.P384:    {tls.ECDSAWithP384AndSHA384: "ecdsa_secp384r1_sha384", tls.ECDSAWithP256AndSHA256: "ecdsa_secp256r1_sha256"},
		testpki.RSA2048: {tls.PSSWithSHA256: "rsa_pss_rsae_sha256"},
		testpki.Ed25519: {tls.Ed25519: "ed25519"},
	} {
		w.server = web.Server("example.com", testpki.DNS("example.com"), testpki.Key(key))
		r := newRig(t, newServer(t, Config{
			Certificates: []Certificate{{TLS: w.server.TLS(), Names: []string{"example.com"}}},
			Policies:     policies(t, &Policy{Name: "default", Mode: countersign.ClientAuthOff, Resumption: true}),
			Keys:         NewTicketKeys(TicketKeysConfig{}),
		}))
		for _, version := range versions {
			config := at(w.client("example.com", nil), version)
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			state, err, out := r.connect(config)
			if err != nil {
				t.Fatalf("%s, %s: %v, %v", key, tls.VersionName(version), err, out.Denial)
			}
			scheme := tls.SignatureScheme(reflect.ValueOf(state).FieldByName("testingOnlyPeerSignatureAlgorithm").Uint())
			if want, known := names[scheme]; !known || out.SignedBy != want {
				t.Errorf("%s, %s: told %q, the client saw %v", key, tls.VersionName(version), out.SignedBy, scheme)
			}
			if state, err, out = r.connect(config); err != nil || !state.DidResume || out.SignedBy != "" {
				t.Errorf("%s, %s, resumed %v: told %q, %v", key, tls.VersionName(version), state.DidResume, out.SignedBy, err)
			}
		}
	}
}

// A nonce of key and digest alone: the same signature for the same digest, and
// another one for another.
func TestECDSASignsWithoutFurtherRandomness(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var made [][]byte
	for _, of := range []string{"one", "one", "another"} {
		digest := sha256.Sum256([]byte(of))
		signature, err := (&witness{Signer: key}).Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			t.Fatalf("the signature of %q is not good: %v", of, err)
		}
		made = append(made, signature)
	}
	if !bytes.Equal(made[0], made[1]) || bytes.Equal(made[1], made[2]) {
		t.Errorf("signatures %x", made)
	}
}
