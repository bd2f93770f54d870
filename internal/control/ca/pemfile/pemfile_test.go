package pemfile

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign.dev/internal/control/ca/issuance"
)

func TestAKeyIsReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	for _, kind := range []issuance.KeyType{issuance.ECDSAP256, issuance.RSA2048} {
		key, err := kind.Generate()
		if err != nil {
			t.Fatal(err)
		}
		data, err := EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, data, 0o600)
		got, err := ReadKey(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := EncodeKey(got)
		if err != nil || !bytes.Equal(data, again) {
			t.Errorf("%s: another key was read, %v", kind, err)
		}
	}
}

func TestReadKeyRefuses(t *testing.T) {
	key, err := issuance.ECDSAP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	good, err := EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := x509.MarshalPKCS8PrivateKey(agreement)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		data []byte
		mode os.FileMode
		want string
	}{
		{"open to all", good, 0o644, "mode 0644): expected 0600; close it with `chmod 600"},
		{"open to the group", good, 0o640, "mode 0640"},
		{"writable by others", good, 0o602, "mode 0602"},
		{"empty", nil, 0o600, "no PEM block"},
		{"a certificate", Encode(Certificate, []byte("x")), 0o600, `holds "CERTIFICATE": expected "PRIVATE KEY"`},
		{"an old form", Encode("EC PRIVATE KEY", []byte("x")), 0o600, "convert it with `openssl pkey"},
		{"two keys", append(good[:len(good):len(good)], good...), 0o600, "more than one"},
		{"damaged", Encode(Key, []byte("x")), 0o600, "not a PKCS #8"},
		{"no signing key", Encode(Key, x25519), 0o600, "cannot sign"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.key")
			write(t, path, tc.data, tc.mode)
			if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want %q with the path", err, tc.want)
			}
		})
	}
}

func TestReadChainRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.crt")
	for _, tc := range []struct {
		data []byte
		want string
	}{
		{nil, "no PEM block"},
		{Encode(Key, []byte("x")), `holds "PRIVATE KEY": expected certificates`},
		{Encode(Certificate, []byte("x")), "certificate 1: x509"},
	} {
		write(t, path, tc.data, 0o600)
		if _, err := ReadChain(path); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want %q", err, tc.want)
		}
	}
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}
