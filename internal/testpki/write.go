package testpki

import (
	"os"
	"path/filepath"
	"testing"
)

// Write puts NAME.crt (c and its intermediates) and, if there is one, NAME.key
// (mode 0600) into dir, and returns their paths.
func (c *Certificate) Write(dir, name string) (cert, key string) {
	c.tb.Helper()
	cert = WriteFile(c.tb, filepath.Join(dir, name+".crt"), PEM(c.Chain()...))
	if c.Key != nil {
		key = WriteFile(c.tb, filepath.Join(dir, name+".key"), c.KeyPEM())
	}
	return cert, key
}

// WriteFile writes data with mode 0600 and returns path.
func WriteFile(tb testing.TB, path string, data []byte) string {
	tb.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatalf("testpki: %v", err)
	}
	return path
}
