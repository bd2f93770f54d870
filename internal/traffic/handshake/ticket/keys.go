package ticket

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultLifetime is how long a session may be resumed after its first full
// handshake. RFC 8446 section 4.6.1 would allow seven days.
const DefaultLifetime = 24 * time.Hour

// Config configures Keys; the zero value works.
type Config struct {
	// Lifetime is how long a session may be resumed after its first full
	// handshake, and how long one key seals tickets. 0: 24 hours.
	Lifetime time.Duration
	Now      func() time.Time // nil: time.Now
}

// Keys seal session tickets. They are random, live in memory alone, are
// replaced after every Lifetime and kept for one Lifetime more, to open; or they
// are those of several nodes, by Share. One Keys serves all listeners of a process
// through all its configurations: what a ticket is good for is bound into the
// ticket. Safe for concurrent use.
type Keys struct {
	lifetime time.Duration
	now      func() time.Time
	rotating sync.Mutex
	shared   *Shared                      // what Share was given last
	ring     atomic.Pointer[[]generation] // the latest first; never changed, only replaced
}

type keyID [8]byte

// A generation is one key. It seals with random 96-bit nonces, of which NIST
// SP 800-38D allows 2^32 per key: 49,000 tickets a second for a day.
type generation struct {
	id      keyID
	aead    cipher.AEAD
	created time.Time
}

// NewKeys makes keys, the first one at once.
func NewKeys(c Config) *Keys {
	k := &Keys{lifetime: c.Lifetime, now: c.Now}
	if k.lifetime <= 0 {
		k.lifetime = DefaultLifetime
	}
	if k.now == nil {
		k.now = time.Now
	}
	k.ring.Store(&[]generation{newKey(k.now())})
	return k
}

// Lifetime returns how long a session may be resumed after its first full handshake.
func (k *Keys) Lifetime() time.Duration { return k.lifetime }

// sealing returns the key to seal with at this moment.
func (k *Keys) sealing(now time.Time) generation {
	if key, found := k.latest(now); found {
		return key
	}
	k.rotating.Lock()
	defer k.rotating.Unlock()
	if key, found := k.latest(now); found {
		return key
	}
	fresh := newKey(now)
	ring := []generation{fresh}
	for _, key := range *k.ring.Load() {
		if k.opens(key, now) {
			ring = append(ring, key)
		}
	}
	sortLatestFirst(ring)
	k.ring.Store(&ring)
	return fresh
}

// latest returns the key that was created last of those that may seal.
func (k *Keys) latest(now time.Time) (generation, bool) {
	for _, key := range *k.ring.Load() {
		if !now.Before(key.created) {
			return key, now.Before(key.created.Add(k.lifetime))
		}
	}
	return generation{}, false
}

// opening returns the key with that id, if it may still unseal.
func (k *Keys) opening(id keyID, now time.Time) (generation, bool) {
	for _, key := range *k.ring.Load() {
		if key.id == id {
			return key, k.opens(key, now)
		}
	}
	return generation{}, false
}

func (k *Keys) opens(key generation, now time.Time) bool {
	return now.Before(key.created.Add(2 * k.lifetime))
}

func newKey(now time.Time) generation {
	var secret [32]byte
	rand.Read(secret[:]) // never fails: it ends the process rather than return
	return keyOf(secret, now)
}

// keyOf returns the key with that secret. The id tells nothing about it, and is
// the same at every node that has it.
func keyOf(secret [32]byte, created time.Time) generation {
	key := generation{created: created}
	sum := sha256.Sum256(append([]byte("countersign ticket key id"), secret[:]...))
	copy(key.id[:], sum[:])
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	if key.aead, err = cipher.NewGCM(block); err != nil {
		panic(err) // AES has the block size that GCM wants
	}
	return key
}
