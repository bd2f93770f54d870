package handshake

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

// TicketKeysConfig configures TicketKeys; the zero value works.
type TicketKeysConfig struct {
	// Lifetime is how long a session may be resumed after its first full
	// handshake, and how long one key seals tickets. 0: 24 hours.
	Lifetime time.Duration
	Now      func() time.Time // nil: time.Now
}

// TicketKeys seal session tickets. They are random, live in memory alone and
// are replaced after every Lifetime; a key is kept for one Lifetime more, to
// unseal. One TicketKeys serves all listeners of a process through all its
// configurations: what a ticket is good for is bound into the ticket.
type TicketKeys struct {
	lifetime time.Duration
	now      func() time.Time
	rotating sync.Mutex
	ring     atomic.Pointer[[]ticketKey] // newest first; never changed, only replaced
}

type ticketKeyID [8]byte

// A ticketKey seals with random 96-bit nonces, of which NIST SP 800-38D allows
// 2^32 per key: 49,000 tickets a second for a day.
type ticketKey struct {
	id      ticketKeyID
	aead    cipher.AEAD
	created time.Time
}

// NewTicketKeys makes keys, the first one at once.
func NewTicketKeys(c TicketKeysConfig) *TicketKeys {
	k := &TicketKeys{lifetime: c.Lifetime, now: c.Now}
	if k.lifetime <= 0 {
		k.lifetime = defaultLifetime
	}
	if k.now == nil {
		k.now = time.Now
	}
	k.ring.Store(&[]ticketKey{newTicketKey(k.now())})
	return k
}

// Lifetime returns how long a session may be resumed after its first full handshake.
func (k *TicketKeys) Lifetime() time.Duration { return k.lifetime }

// sealing returns the key to seal with at this moment.
func (k *TicketKeys) sealing(now time.Time) ticketKey {
	if key := (*k.ring.Load())[0]; now.Before(key.created.Add(k.lifetime)) {
		return key
	}
	k.rotating.Lock()
	defer k.rotating.Unlock()
	old := *k.ring.Load()
	if now.Before(old[0].created.Add(k.lifetime)) {
		return old[0]
	}
	ring := []ticketKey{newTicketKey(now)}
	for _, key := range old {
		if k.opens(key, now) {
			ring = append(ring, key)
		}
	}
	k.ring.Store(&ring)
	return ring[0]
}

// opening returns the key with that id, if it may still unseal.
func (k *TicketKeys) opening(id ticketKeyID, now time.Time) (ticketKey, bool) {
	for _, key := range *k.ring.Load() {
		if key.id == id {
			return key, k.opens(key, now)
		}
	}
	return ticketKey{}, false
}

func (k *TicketKeys) opens(key ticketKey, now time.Time) bool {
	return now.Before(key.created.Add(2 * k.lifetime))
}

func newTicketKey(now time.Time) ticketKey {
	var secret [32]byte
	key := ticketKey{created: now}
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
