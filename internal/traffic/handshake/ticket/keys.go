package ticket

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// defaultLifetime is how long a session may be resumed after its first full
// handshake. RFC 8446 section 4.6.1 would allow seven days.
const defaultLifetime = 24 * time.Hour

// Config configures Keys; the zero value works.
type Config struct {
	// Lifetime is how long a session may be resumed after its first full
	// handshake, and how long one key seals tickets. 0: 24 hours.
	Lifetime time.Duration
	Now      func() time.Time // nil: time.Now
}

// Keys seal session tickets. They are random, live in memory alone, are
// replaced after every Lifetime and kept for one Lifetime more, to open. One
// Keys serves all listeners of a process through all its configurations: what
// a ticket is good for is bound into the ticket. Safe for concurrent use.
type Keys struct {
	lifetime time.Duration
	now      func() time.Time
	rotating sync.Mutex
	ring     atomic.Pointer[[]generation] // newest first; never changed, only replaced
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
		k.lifetime = defaultLifetime
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
	if key := (*k.ring.Load())[0]; now.Before(key.created.Add(k.lifetime)) {
		return key
	}
	k.rotating.Lock()
	defer k.rotating.Unlock()
	old := *k.ring.Load()
	if now.Before(old[0].created.Add(k.lifetime)) {
		return old[0]
	}
	ring := []generation{newKey(now)}
	for _, key := range old {
		if k.opens(key, now) {
			ring = append(ring, key)
		}
	}
	k.ring.Store(&ring)
	return ring[0]
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
	key := generation{created: now}
	rand.Read(secret[:]) // never fails: it ends the process rather than return
	rand.Read(key.id[:])
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	if key.aead, err = cipher.NewGCM(block); err != nil {
		panic(err) // AES has the block size that GCM wants
	}
	return key
}
