package sticky

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// MaxAge is how long what was sealed can be opened, whatever it says: as long as
// AWS's cookies last at most.
const MaxAge = 7 * day

const day = 24 * time.Hour

// Keys seal and open what clients carry for us. Nodes that have the same keys
// read each other's. Safe for concurrent use.
type Keys struct {
	all []*key // the first one seals
}

// NewKeys returns the Keys of secrets of KeySize bytes each. The first one seals,
// all of them open.
func NewKeys(secrets ...[]byte) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no key, want at least one")
	}
	k := &Keys{}
	for i, secret := range secrets {
		if len(secret) != KeySize {
			return nil, fmt.Errorf("key %d has %d bytes, want %d", i+1, len(secret), KeySize)
		}
		k.all = append(k.all, &key{secret: string(secret)})
	}
	return k, nil
}

// A key is one secret, from which each day has a key of its own: of random
// nonces, AES-GCM takes 2^32 under one (NIST SP 800-38D section 8.3).
type key struct {
	secret string
	days   [16]atomic.Pointer[daily] // by number, modulo
}

type daily struct {
	number uint32
	cipher.AEAD
}

// of returns what seals on that day, counted from 1970.
func (k *key) of(number uint32) *daily {
	slot := &k.days[number%uint32(len(k.days))]
	if d := slot.Load(); d != nil && d.number == number {
		return d
	}
	// None of these can fail with a length that is right.
	sub, err := hkdf.Key(sha256.New, []byte(k.secret), nil, fmt.Sprintf("countersign sticky cookie, day %d", number), KeySize)
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	d := &daily{number, aead}
	slot.Store(d)
	return d
}

// What is sealed: the day (4 bytes), a nonce (12), then encrypted the value (8)
// and when it was sealed and ends, in seconds since 1970 (8 each), and the tag
// (16). All of it in base64url.
const (
	clear  = 4 + 12
	hidden = 8 + 8 + 8
	length = clear + hidden + 16
)

var encoding = base64.RawURLEncoding.Strict() // one spelling

// A work is what sealing and opening need and is not worth an allocation each time.
type work struct {
	raw     [length]byte
	plain   [hidden]byte
	purpose []byte
}

var works = sync.Pool{New: func() any { return &work{} }}

// A Seal is something sealed, opened.
type Seal struct {
	Value       uint64
	Made, Until time.Time // to the second
}

// Append appends s, which can be opened for the same purpose alone.
func (k *Keys) Append(dst []byte, purpose string, s Seal) []byte {
	w := works.Get().(*work)
	defer works.Put(w)
	raw, plain := w.raw[:], w.plain[:]
	number := uint32(s.Made.Unix() / int64(day/time.Second))
	binary.BigEndian.PutUint32(raw[:4], number)
	rand.Read(raw[4:clear]) // never fails
	binary.BigEndian.PutUint64(plain[:8], s.Value)
	binary.BigEndian.PutUint64(plain[8:16], uint64(s.Made.Unix()))
	binary.BigEndian.PutUint64(plain[16:], uint64(s.Until.Unix()))
	w.purpose = append(w.purpose[:0], purpose...)
	k.all[0].of(number).Seal(raw[:clear], raw[4:clear], plain, w.purpose)
	return encoding.AppendEncode(dst, raw)
}

// Open opens text. What was not sealed by one of these keys for that purpose, or
// is over at now, or older than MaxAge, does not open.
func (k *Keys) Open(text []byte, purpose string, now time.Time) (Seal, bool) {
	if len(text) != encoding.EncodedLen(length) {
		return Seal{}, false
	}
	w := works.Get().(*work)
	defer works.Put(w)
	raw, plain := w.raw[:], w.plain[:]
	w.purpose = append(w.purpose[:0], purpose...)
	if n, err := encoding.Decode(raw, text); err != nil || n != length {
		return Seal{}, false
	}
	number, today := binary.BigEndian.Uint32(raw[:4]), uint32(now.Unix()/int64(day/time.Second))
	// Else a client could have a key made for any day it likes. A day to come: the
	// clock of the node that sealed it is a little ahead.
	if age := int64(today) - int64(number); age < -1 || age > int64(MaxAge/day) {
		return Seal{}, false
	}
	for _, key := range k.all {
		if _, err := key.of(number).Open(plain[:0], raw[4:clear], raw[clear:], w.purpose); err != nil {
			continue
		}
		s := Seal{
			Value: binary.BigEndian.Uint64(plain[:8]),
			Made:  time.Unix(int64(binary.BigEndian.Uint64(plain[8:16])), 0),
			Until: time.Unix(int64(binary.BigEndian.Uint64(plain[16:])), 0),
		}
		return s, now.Before(s.Until) && now.Sub(s.Made) < MaxAge
	}
	return Seal{}, false
}
