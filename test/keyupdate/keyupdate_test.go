package keyupdate

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"countersign.dev/test/gateway"
)

const config = `
logs: {connection: {path: connection.log}, access: {path: access.log}}
listeners:
  - name: devices
    address: 127.0.0.1:0
    protocol: https
    certificates: {cert: server.crt, key: server.key}
    client_auth: {mode: verify, trust_store: fleet}
    timeouts: {headers: 1s, idle: 1s}
    default: {forward: api}
trust_stores:
  - {name: fleet, ca_bundle: ca.crt}
target_groups:
  - {name: api, targets: "127.0.0.1:9"}
`

// The client asks for new keys over and over, and never reads the answers. It is
// ended: its writes fail.
func TestAClientThatOnlyChangesKeysIsEnded(t *testing.T) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			g := gateway.New(t)
			g.Start(config)
			raw, err := net.Dial("tcp", g.Address("127.0.0.1:0"))
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			keys := new(bytes.Buffer)
			conn := tls.Client(raw, &tls.Config{
				RootCAs: g.Web.Pool(), ServerName: "localhost", NextProtos: []string{protocol}, KeyLogWriter: keys,
				Certificates: []tls.Certificate{g.Fleet.Client("device").TLS()}, MinVersion: tls.VersionTLS13,
			})
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			if got := conn.ConnectionState().CipherSuite; got != tls.TLS_AES_128_GCM_SHA256 {
				t.Fatalf("the cipher suite is %s; this client knows TLS_AES_128_GCM_SHA256 alone", tls.CipherSuiteName(got))
			}
			secret := clientSecret(t, keys.String())
			raw.SetWriteDeadline(time.Now().Add(gateway.Patience))
			for sent := 0; ; {
				var records []byte
				for range 1000 {
					var record []byte
					record, secret = keyUpdate(t, secret)
					records = append(records, record...)
				}
				if n, err := raw.Write(records); err != nil {
					if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
						t.Fatalf("after %d KeyUpdates the gateway neither reads nor ends the connection", sent+1000*n/len(records))
					}
					t.Logf("ended after %d KeyUpdates: %v", sent, err)
					return
				}
				sent += 1000
			}
		})
	}
}

// clientSecret finds the secret of the client's application data in a key log.
func clientSecret(t *testing.T, log string) []byte {
	t.Helper()
	for line := range strings.Lines(log) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatal("the key log has no CLIENT_TRAFFIC_SECRET_0")
	return nil
}

// keyUpdate is the first record under secret, a KeyUpdate that requests one (RFC
// 8446 section 4.6.3), and the secret that follows it (section 7.2).
func keyUpdate(t *testing.T, secret []byte) (record, next []byte) {
	t.Helper()
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	const handshake, applicationData, keyUpdateType, updateRequested = 22, 23, 24, 1
	plain := []byte{keyUpdateType, 0, 0, 1, updateRequested, handshake}
	header := []byte{applicationData, 3, 3, 0, byte(len(plain) + aead.Overhead())}
	return aead.Seal(header, expand(t, secret, "iv", 12), plain, header), expand(t, secret, "traffic upd", sha256.Size)
}

// expand is HKDF-Expand-Label without a context (section 7.1).
func expand(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	out, err := hkdf.Expand(sha256.New, secret, "\x00"+string(byte(n))+string(byte(len(label)))+label+"\x00", n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
