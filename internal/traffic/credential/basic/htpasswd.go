package basic

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

// MaxSize bounds an htpasswd file, in bytes.
const MaxSize = 16 << 20

// Bounds on the cost of a hash: each more doubles the time. What is below weakCost
// is soon guessed by whoever gets the file; beyond maxCost a few who come at once
// keep a CPU busy for seconds.
const (
	weakCost = 10
	maxCost  = 14
)

// A Fault is a line of a file that cannot be used, or with Warning one that is
// better made anew.
type Fault struct {
	Line        int // from 1
	Found, Want string
	Hint        string
	Warning     bool
}

// parse reads one USER:HASH a line; blank lines and those that begin with # are
// skipped.
func parse(data []byte) (users map[string][]byte, faults []Fault) {
	users = map[string][]byte{}
	lines := map[string]int{}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, MaxSize+1)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimRight(scanner.Text(), " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		switch {
		case !ok:
			faults = append(faults, Fault{Line: n, Found: "no colon", Want: "USER:HASH"})
			continue
		case !validUser(user):
			faults = append(faults, Fault{Line: n, Found: "a user's name that is empty, longer than 255 bytes, or not printable", Want: "USER:HASH"})
			continue
		case lines[user] > 0:
			faults = append(faults, Fault{Line: n, Found: fmt.Sprintf("the user %q of line %d again", user, lines[user]), Want: "each user once"})
			continue
		}
		lines[user] = n
		if f := checkHash(user, hash); f != nil {
			f.Line = n
			faults = append(faults, *f)
			if !f.Warning {
				continue
			}
		}
		users[user] = []byte(hash)
	}
	return users, faults
}

func validUser(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// checkHash returns what is wrong with a hash. What it is, is a secret.
func checkHash(user, hash string) *Fault {
	const htpasswd = "htpasswd -B -C 12 FILE USER writes one"
	fault := &Fault{Want: "bcrypt, which begins with $2y$, $2b$ or $2a$", Hint: htpasswd}
	for prefix, name := range map[string]string{"$apr1$": "MD5 of Apache", "$1$": "MD5", "{SHA}": "SHA-1", "$5$": "SHA-256 of crypt", "$6$": "SHA-512 of crypt", "$argon2": "Argon2"} {
		if strings.HasPrefix(hash, prefix) {
			fault.Found = fmt.Sprintf("%q with a hash of %s", user, name)
			return fault
		}
	}
	if !strings.HasPrefix(hash, "$2y$") && !strings.HasPrefix(hash, "$2b$") && !strings.HasPrefix(hash, "$2a$") {
		fault.Found = fmt.Sprintf("%q with something that is no hash of bcrypt", user)
		return fault
	}
	cost, err := bcrypt.Cost([]byte(hash))
	switch {
	case err != nil || len(hash) != 60 || strings.Trim(hash[7:], alphabet) != "":
		fault.Found = fmt.Sprintf("%q with a hash of bcrypt that is damaged", user)
	case cost > maxCost:
		fault.Found, fault.Want = fmt.Sprintf("%q with cost %d", user, cost), fmt.Sprintf("at most %d", maxCost)
	case cost < weakCost:
		fault.Found, fault.Want = fmt.Sprintf("%q with cost %d, which is soon guessed by whoever gets the file", user, cost), fmt.Sprintf("at least %d", weakCost)
		fault.Warning = true
	default:
		return nil
	}
	return fault
}

// alphabet is that of bcrypt's own base64.
const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
