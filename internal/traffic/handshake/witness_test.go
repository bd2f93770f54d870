package handshake

import (
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
