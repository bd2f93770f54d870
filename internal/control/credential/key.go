package credential

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"countersign.dev/internal/traffic/credential/apikey"
)

// keyPrefix lets those who look for secrets that were published find ours.
const keyPrefix = "cs_"

// NewKey makes an API key of 256 bits.
func NewKey() string {
	var b [32]byte
	rand.Read(b[:])
	return keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// AppendKey appends the line of a key to the file at path, which is made for its
// owner alone if it is not there.
func AppendKey(path, id, key string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	line := apikey.Line(id, key) + "\n"
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end > 0 { // somebody may have edited it without an end of line
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := io.Copy(f, strings.NewReader(line)); err != nil {
		return err
	}
	return f.Sync()
}
