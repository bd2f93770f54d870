package apikey

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
)

// MaxSize bounds a file of keys, in bytes.
const MaxSize = 16 << 20

// maxKey bounds what is shown as a key, in bytes.
const maxKey = 4 << 10

// Keys are the keys that are known, by digest, each with the id of its holder. A
// look-up by digest tells nobody who tries how near a key was: what it compares
// is not the key.
type Keys struct {
	name string // of the credential
	ids  map[[sha256.Size]byte]string
}

// A Fault is a line of a file that cannot be used.
type Fault struct {
	Line        int // from 1
	Found, Want string
}

// Parse reads one ID:SHA256 a line; blank lines and those that begin with # are
// skipped. It returns every fault there is, and the keys of the other lines.
// name is that of the credential.
func Parse(name string, data []byte) (*Keys, []Fault) {
	k := &Keys{name: name, ids: map[[sha256.Size]byte]string{}}
	lines := map[[sha256.Size]byte]int{}
	var faults []Fault
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, MaxSize+1)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		id, digest, err := parseLine(line)
		if err != nil {
			faults = append(faults, Fault{n, err.Error(), "ID:SHA256, as countersign credential api-key new prints it"})
			continue
		}
		if first := lines[digest]; first > 0 {
			faults = append(faults, Fault{n, fmt.Sprintf("the key of line %d again", first), "each key once"})
			continue
		}
		lines[digest], k.ids[digest] = n, id
	}
	return k, faults
}

func parseLine(line string) (id string, digest [sha256.Size]byte, err error) {
	id, text, ok := strings.Cut(line, ":")
	switch {
	case !ok:
		return "", digest, fmt.Errorf("no colon") // what it is may be a key: it is not shown
	case !ValidID(id):
		return "", digest, fmt.Errorf("an id that is empty, longer than 128 letters, or not of printable ASCII without blanks")
	case len(text) != hex.EncodedLen(len(digest)):
		return "", digest, fmt.Errorf("%q with %d characters behind the colon, not 64", id, len(text))
	}
	if _, err := hex.Decode(digest[:], []byte(text)); err != nil {
		return "", digest, fmt.Errorf("%q with a digest that is not hexadecimal", id)
	}
	if digest == sha256.Sum256(nil) {
		return "", digest, fmt.Errorf("%q with the digest of nothing", id)
	}
	return id, digest, nil
}

// ValidID reports whether s can be the id of a key.
func ValidID(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '#' && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// Line is that of a file of keys.
func Line(id, key string) string {
	sum := sha256.Sum256([]byte(key))
	return id + ":" + hex.EncodeToString(sum[:])
}

// Len is how many keys there are.
func (k *Keys) Len() int { return len(k.ids) }

// Quick implements credential.Scheme.
func (k *Keys) Quick(shown []byte, _ credential.Circumstances) (string, bool, *credential.Failure) {
	if len(shown) > maxKey {
		return "", true, credential.Fail(countersign.CredentialInvalid, "a key of %d bytes; at most %d are looked at", len(shown), maxKey)
	}
	if id, ok := k.ids[sha256.Sum256(shown)]; ok {
		return id, true, nil
	}
	return "", true, credential.Fail(countersign.CredentialInvalid, "the key is not among the %d that are known", len(k.ids))
}

// Verify implements credential.Scheme.
func (k *Keys) Verify(_ context.Context, shown []byte, at credential.Circumstances) (string, *credential.Failure) {
	id, _, failed := k.Quick(shown, at)
	return id, failed
}

// Challenge implements credential.Scheme, with a scheme of our own: there is none
// for this in the registry of RFC 9110 section 16.4.1.
func (k *Keys) Challenge(*credential.Failure) string { return `ApiKey realm="` + k.name + `"` }
