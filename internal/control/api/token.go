package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// TokenName is that of the token's file in a node's data_dir.
const TokenName = "api.token"

// A Token is what callers on the same machine show. The zero Token is nobody's.
type Token struct {
	sum   [sha256.Size]byte
	known bool
}

// tokenSize is in random bytes; the file has twice as many hex digits.
const tokenSize = 32

// OpenToken returns the token in dir, which it makes when there is none; dir too.
// A file that others can read, or that is another user's, is refused: to have
// another token, remove it and let the node read its configuration again.
func OpenToken(dir string) (Token, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Token{}, fmt.Errorf("the token of the management API: %w", err)
	}
	path := filepath.Join(dir, TokenName)
	t, err := readToken(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeToken(path); err == nil || errors.Is(err, fs.ErrExist) {
			t, err = readToken(path)
		}
	}
	if err != nil {
		return Token{}, fmt.Errorf("the token of the management API: %w", err)
	}
	return t, nil
}

func readToken(path string) (Token, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Token{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Token{}, err
	}
	remedy := "remove it, and a new one is made when the configuration is read again"
	switch stat, ok := info.Sys().(*syscall.Stat_t); {
	case !info.Mode().IsRegular():
		return Token{}, fmt.Errorf("%s is not a file: %s", path, remedy)
	case info.Mode().Perm()&0o077 != 0:
		return Token{}, fmt.Errorf("%s has mode %04o, expected 0600: others may have read it; %s", path, info.Mode().Perm(), remedy)
	case ok && int(stat.Uid) != os.Geteuid():
		return Token{}, fmt.Errorf("%s is of user %d, expected %d, as whom the node runs: %s", path, stat.Uid, os.Geteuid(), remedy)
	}
	data, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return Token{}, err
	}
	text := strings.TrimSpace(string(data))
	if raw, err := hex.DecodeString(text); err != nil || len(raw) < tokenSize {
		return Token{}, fmt.Errorf("%s is not what a node writes there, expected %d hex digits: %s", path, 2*tokenSize, remedy)
	}
	return Token{sha256.Sum256([]byte(text)), true}, nil
}

// makeToken writes a file that nobody sees half written.
func makeToken(path string) error {
	raw := make([]byte, tokenSize)
	rand.Read(raw) // never fails
	f, err := os.CreateTemp(filepath.Dir(path), "."+TokenName+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, hex.EncodeToString(raw))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // which fails if another node was faster
}

// is reports whether text is the token, in a time that does not tell how much of
// it is right.
func (t Token) is(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 && t.known
}
