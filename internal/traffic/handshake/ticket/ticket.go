package ticket

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// A ticket on the wire:
//
//	version 1 | key id 8 | nonce 12 | AES-256-GCM(first 8 | until 8 | session) | tag 16
//
// first and until are Unix seconds: the session's first full handshake, and
// the end of its use. session is crypto/tls's own encoding of the state. The
// additional data is version, key id and the policy's binding: a ticket shown
// to another policy does not open.
const (
	version    = 1
	headerSize = 1 + len(keyID{})
	nonceSize  = 12
	timesSize  = 8 + 8
	tagSize    = 16
	overhead   = headerSize + nonceSize + timesSize + tagSize

	// maxSize bounds a ticket, which the client sends back in every
	// ClientHello: beyond it a full handshake is cheaper. (The wire allows 64 KiB.)
	maxSize = 16 << 10
)

// A Binding says what a ticket is good for: it opens under an equal one alone.
type Binding [sha256.Size]byte

// A Session is what a ticket carries.
type Session struct {
	First time.Time // full handshake of the session
	Until time.Time // it may be resumed, exclusive
	State []byte    // as crypto/tls encodes it
}

// Dead returns a ticket that opens nowhere. crypto/tls has no way to leave a
// ticket out once it asks for one: TLS 1.3 does not allow an empty ticket
// (RFC 8446 section 4.6.1), and an error would end the connection.
func Dead() []byte { return []byte{0} }

// Seal makes a ticket, bound to binding.
func (k *Keys) Seal(s Session, binding *Binding, now time.Time) []byte {
	if len(s.State)+overhead > maxSize {
		return Dead()
	}
	key := k.sealing(now)
	ticket := make([]byte, headerSize+nonceSize, overhead+len(s.State))
	ticket[0] = version
	copy(ticket[1:], key.id[:])
	nonce := ticket[headerSize:]
	rand.Read(nonce)
	plain := make([]byte, timesSize, timesSize+len(s.State))
	binary.BigEndian.PutUint64(plain, uint64(s.First.Unix()))
	binary.BigEndian.PutUint64(plain[8:], uint64(s.Until.Unix()))
	return key.aead.Seal(ticket, nonce, append(plain, s.State...), additional(ticket, binding))
}

// Open returns what a ticket carries; false if it is not ours, was bound to
// something else, has ended, or its key has.
func (k *Keys) Open(ticket []byte, binding *Binding, now time.Time) (Session, bool) {
	if len(ticket) < overhead || len(ticket) > maxSize || ticket[0] != version {
		return Session{}, false
	}
	key, ok := k.opening(keyID(ticket[1:headerSize]), now)
	if !ok {
		return Session{}, false
	}
	nonce, sealed := ticket[headerSize:headerSize+nonceSize], ticket[headerSize+nonceSize:]
	plain, err := key.aead.Open(nil, nonce, sealed, additional(ticket, binding))
	if err != nil {
		return Session{}, false
	}
	s := Session{
		First: time.Unix(int64(binary.BigEndian.Uint64(plain)), 0),
		Until: time.Unix(int64(binary.BigEndian.Uint64(plain[8:])), 0),
		State: plain[timesSize:],
	}
	return s, now.Before(s.Until)
}

func additional(ticket []byte, binding *Binding) []byte {
	return append(append(make([]byte, 0, headerSize+sha256.Size), ticket[:headerSize]...), binding[:]...)
}
