package ticket

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Key is one that several nodes have, so that each opens the tickets of the
// others. Whoever knows its secret can read their sessions and make up clients.
type Key struct {
	Secret  [32]byte // random
	Created time.Time
}

// mostShared bounds the keys that can be shared.
const mostShared = 16

// Shared are keys that several nodes have. The one created last seals, but not
// before it was created, and not longer than a Lifetime; each opens tickets for a
// Lifetime more, and at once, since another node's clock may be ahead.
type Shared struct {
	ring []generation // the latest first
}

// NewShared returns keys to share, in any order. It takes from 1 to mostShared.
func NewShared(keys ...Key) (*Shared, error) {
	if len(keys) == 0 || len(keys) > mostShared {
		return nil, fmt.Errorf("%d ticket keys: want 1 to %d", len(keys), mostShared)
	}
	s := &Shared{}
	for i, key := range keys {
		if key.Secret == [32]byte{} || key.Created.IsZero() {
			return nil, fmt.Errorf("ticket key %d of %d has no secret, or no date: want 32 random bytes and when they were made", i+1, len(keys))
		}
		made := keyOf(key.Secret, key.Created)
		if slices.ContainsFunc(s.ring, func(g generation) bool { return g.id == made.id }) {
			return nil, errors.New("a ticket key is there twice: want each once")
		}
		s.ring = append(s.ring, made)
	}
	sortLatestFirst(s.ring)
	return s, nil
}

// Latest returns when the key that seals last was created.
func (s *Shared) Latest() time.Time { return s.ring[0].created }

func (s *Shared) same(other *Shared) bool {
	if s == nil || other == nil {
		return s == other
	}
	return slices.EqualFunc(s.ring, other.ring, func(a, b generation) bool { return a.id == b.id && a.created.Equal(b.created) })
}

// Share puts s in place of the keys there are, of which tickets are worth nothing
// from then on; nil: a random key of the node's own. The same again changes
// nothing. When none of s seals any more, a random one does, until another call.
// Sharing is rotating: with each call a newer key comes in, and the oldest stays
// away.
func (k *Keys) Share(s *Shared) {
	k.rotating.Lock()
	defer k.rotating.Unlock()
	if s.same(k.shared) {
		return
	}
	ring := []generation{newKey(k.now())}
	if s != nil {
		ring = s.ring
	}
	k.shared = s
	k.ring.Store(&ring)
}

func sortLatestFirst(ring []generation) {
	slices.SortStableFunc(ring, func(a, b generation) int { return b.created.Compare(a.created) })
}
