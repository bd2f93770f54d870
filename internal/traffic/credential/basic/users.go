package basic

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign.dev"
	"countersign.dev/internal/traffic/credential"
	"github.com/maypok86/otter/v2"
	"golang.org/x/crypto/bcrypt"
)

// mostVerified bounds how many passwords that were verified are remembered, for as
// long as the file is what it is.
const mostVerified = 10_000

// longest is what bcrypt looks at of a password, in bytes.
const longest = 72

// Users are those of an htpasswd file.
type Users struct {
	realm    string
	hashes   map[string][]byte
	stranger []byte // the hash that the password of somebody unknown is held against
	turns    *Turns

	// Verified are the names of users by the HMAC of what they showed. The key is
	// of this process and of this file: what is kept tells nobody a password.
	key      [sha256.Size]byte
	verified *otter.Cache[[sha256.Size]byte, string]
}

// Parse reads an htpasswd file. It returns every fault there is, and the users of
// the other lines. turns nil: they have their own.
func Parse(realm string, data []byte, turns *Turns) (*Users, []Fault) {
	if turns == nil {
		turns = NewTurns()
	}
	hashes, faults := parse(data)
	u := &Users{realm: realm, hashes: hashes, turns: turns, verified: otter.Must(&otter.Options[[sha256.Size]byte, string]{
		MaximumSize: mostVerified,
		Executor:    func(task func()) { task() }, // no goroutine that nobody waits for
	})}
	rand.Read(u.key[:])
	for _, hash := range hashes { // the dearest, so that strangers do not take less time
		if costOf(hash) > costOf(u.stranger) {
			u.stranger = hash
		}
	}
	return u, faults
}

func costOf(hash []byte) int {
	cost, _ := bcrypt.Cost(hash) // of none, 0
	return cost
}

// Len is how many users there are.
func (u *Users) Len() int { return len(u.hashes) }

// Quick implements credential.Scheme.
func (u *Users) Quick(shown []byte, _ credential.Circumstances) (string, bool, *credential.Failure) {
	if user, ok := u.verified.GetIfPresent(u.digest(shown)); ok {
		return user, true, nil
	}
	if _, _, failed := split(shown); failed != nil {
		return "", true, failed
	}
	return "", false, nil
}

func (u *Users) digest(shown []byte) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write(shown)
	mac.Sum(sum[:0])
	return sum
}

// Verify implements credential.Scheme.
func (u *Users) Verify(ctx context.Context, shown []byte, at credential.Circumstances) (string, *credential.Failure) {
	name, password, failed := split(shown)
	if failed != nil {
		return "", failed
	}
	if err := u.turns.take(ctx); err != nil {
		f := credential.Fail(countersign.CredentialUnavailable, "%v", err)
		f.Wait = time.Second
		return "", f
	}
	defer u.turns.release()
	if user, done, failed := u.Quick(shown, at); done { // somebody else has shown the same meanwhile
		return user, failed
	}
	hash, known := u.hashes[string(name)]
	if !known {
		hash = u.stranger
	}
	if hash == nil {
		return "", credential.Fail(countersign.CredentialInvalid, "the file has no users")
	}
	switch right := bcrypt.CompareHashAndPassword(hash, password) == nil; {
	case !known:
		return "", credential.Fail(countersign.CredentialInvalid, "no user %q", name)
	case !right:
		return "", credential.Fail(countersign.CredentialInvalid, "not the password of %q", name)
	}
	user := string(name)
	u.verified.Set(u.digest(shown), user)
	return user, nil
}

// split takes apart what follows the word Basic (RFC 7617 section 2).
func split(shown []byte) (name, password []byte, failed *credential.Failure) {
	text := make([]byte, base64.StdEncoding.DecodedLen(len(shown)))
	n, err := base64.StdEncoding.Strict().Decode(text, shown)
	switch {
	case len(shown) > 1024:
		return nil, nil, credential.Fail(countersign.CredentialInvalid, "%d bytes; no name and password are as long", len(shown))
	case err != nil || bytes.ContainsAny(shown, "\r\n"):
		return nil, nil, credential.Fail(countersign.CredentialInvalid, "something that is not base64 (RFC 7617 section 2)")
	}
	name, password, ok := bytes.Cut(text[:n], []byte{':'})
	switch {
	case !ok:
		return nil, nil, credential.Fail(countersign.CredentialInvalid, "a user's name without a colon behind it (RFC 7617 section 2)")
	case len(name) > 255 || !utf8.Valid(name) || bytes.ContainsFunc(name, unicode.IsControl):
		return nil, nil, credential.Fail(countersign.CredentialInvalid, "a user's name that cannot be one")
	case len(password) > longest || bytes.IndexByte(password, 0) >= 0:
		return nil, nil, credential.Fail(countersign.CredentialInvalid, "a password of more than %d bytes, or with a NUL: bcrypt would not look at the rest", longest)
	}
	return name, password, nil
}

// Challenge implements credential.Scheme: RFC 7617 sections 2 and 2.1.
func (u *Users) Challenge(*credential.Failure) string {
	return `Basic realm="` + u.realm + `", charset="UTF-8"`
}
