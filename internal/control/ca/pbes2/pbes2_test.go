package pbes2

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"countersign.dev/internal/testrequire"
)

func TestOnlyThePassphraseOpensIt(t *testing.T) {
	for _, n := range []int{15, 16} {
		key := bytes.Repeat([]byte{7}, n)
		a, err := Encrypt(key, []byte("correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decrypt(a, []byte("correct horse")); err != nil || !bytes.Equal(got, key) {
			t.Errorf("%d bytes: %x, %v", n, got, err)
		}
		// One in 256 wrong keys leaves a padding that looks right.
		if got, err := Decrypt(a, []byte("correct horsf")); err == nil && bytes.Equal(got, key) || err != nil && !errors.Is(err, ErrPassphrase) {
			t.Errorf("another passphrase: %x, %v", got, err)
		}
		b, err := Encrypt(key, []byte("correct horse"))
		if err != nil || bytes.Equal(a, b) {
			t.Error("the same twice: there is no salt in it", err)
		}
	}
}

func TestWhatOpenSSLWritesIsReadAndTheOtherWayRound(t *testing.T) {
	openssl := testrequire.Program(t, "openssl")
	dir := t.TempDir()
	run := func(args ...string) []byte {
		t.Helper()
		c := exec.Command(openssl, args...)
		c.Dir = dir
		out, err := c.Output()
		if err != nil {
			t.Fatalf("openssl %v: %v", args, err)
		}
		return out
	}
	run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "plain.pem")
	run("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-in", "plain.pem", "-passout", "pass:secret", "-out", "theirs.pem")
	plain := run("pkcs8", "-topk8", "-nocrypt", "-in", "plain.pem", "-outform", "DER")
	data, err := os.ReadFile(filepath.Join(dir, "theirs.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if got, err := Decrypt(block.Bytes, []byte("secret")); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("openssl's: %v", err)
	}
	ours, err := Encrypt(plain, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ours.pem"), pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: ours}), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run("pkcs8", "-in", "ours.pem", "-passin", "pass:secret", "-topk8", "-nocrypt", "-outform", "DER"); !bytes.Equal(got, plain) {
		t.Error("openssl reads another key from ours")
	}
}

func TestWhatIsDamagedIsRefused(t *testing.T) {
	good, err := Encrypt([]byte("key"), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := Decrypt(good[:n], []byte("x")); err == nil {
			t.Fatalf("its first %d bytes were decrypted", n)
		}
	}
	few := bytes.Replace(good, []byte{2, 3, 0x09, 0x27, 0xc0}, []byte{2, 3, 0x00, 0x03, 0xe7}, 1) // INTEGER 600000, 999
	if bytes.Equal(few, good) {
		t.Fatal("the iterations were not found")
	}
	if _, err := Decrypt(few, []byte("x")); err == nil || errors.Is(err, ErrPassphrase) {
		t.Errorf("error %v, want that the iterations are out of bounds", err)
	}
}
