package handshake

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
	ticketVersion  = 1
	ticketHeader   = 1 + len(ticketKeyID{})
	ticketNonce    = 12
	ticketTimes    = 8 + 8
	ticketTag      = 16
	ticketOverhead = ticketHeader + ticketNonce + ticketTimes + ticketTag

	// maxTicket bounds a ticket, which the client sends back in every
	// ClientHello: beyond it a full handshake is cheaper. (The wire allows 64 KiB.)
	maxTicket = 16 << 10
)

// A sealedSession is what a ticket carries.
type sealedSession struct {
	first, until time.Time
	state        []byte
}

// deadTicket opens nowhere. crypto/tls has no way to leave a ticket out once
// it asks for one: TLS 1.3 does not allow an empty ticket (RFC 8446 section
// 4.6.1), and an error would end the connection.
func deadTicket() []byte { return []byte{0} }

// seal makes a ticket, bound to binding.
func (k *TicketKeys) seal(s sealedSession, binding *[sha256.Size]byte, now time.Time) []byte {
	if len(s.state)+ticketOverhead > maxTicket {
		return deadTicket()
	}
	key := k.sealing(now)
	ticket := make([]byte, ticketHeader+ticketNonce, ticketOverhead+len(s.state))
	ticket[0] = ticketVersion
	copy(ticket[1:], key.id[:])
	nonce := ticket[ticketHeader:]
	rand.Read(nonce)
	plain := make([]byte, ticketTimes, ticketTimes+len(s.state))
	binary.BigEndian.PutUint64(plain, uint64(s.first.Unix()))
	binary.BigEndian.PutUint64(plain[8:], uint64(s.until.Unix()))
	return key.aead.Seal(ticket, nonce, append(plain, s.state...), additional(ticket, binding))
}

// open returns what a ticket carries; false if it is not ours, was bound to
// something else, has ended, or its key has.
func (k *TicketKeys) open(ticket []byte, binding *[sha256.Size]byte, now time.Time) (sealedSession, bool) {
	if len(ticket) < ticketOverhead || len(ticket) > maxTicket || ticket[0] != ticketVersion {
		return sealedSession{}, false
	}
	key, ok := k.opening(ticketKeyID(ticket[1:ticketHeader]), now)
	if !ok {
		return sealedSession{}, false
	}
	nonce, sealed := ticket[ticketHeader:ticketHeader+ticketNonce], ticket[ticketHeader+ticketNonce:]
	plain, err := key.aead.Open(nil, nonce, sealed, additional(ticket, binding))
	if err != nil {
		return sealedSession{}, false
	}
	s := sealedSession{
		first: time.Unix(int64(binary.BigEndian.Uint64(plain)), 0),
		until: time.Unix(int64(binary.BigEndian.Uint64(plain[8:])), 0),
		state: plain[ticketTimes:],
	}
	return s, now.Before(s.until)
}

func additional(ticket []byte, binding *[sha256.Size]byte) []byte {
	return append(append(make([]byte, 0, ticketHeader+sha256.Size), ticket[:ticketHeader]...), binding[:]...)
}
