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

// mostShared bounds the keys that are tried for a ticket.
const mostShared = 16

// Share puts keys in place of those there are, of which tickets are worth nothing
// from then on. The one created last seals, but not before it was created, and
// not longer than a Lifetime; each opens tickets for a Lifetime more, and at once,
// since another node's clock may be ahead. When none seals any more, a random one
// of the node's own does, until the next call. Sharing is rotating: with each call
// a newer key comes in, and the oldest stays away.
func (k *Keys) Share(keys []Key) error {
	if len(keys) == 0 || len(keys) > mostShared {
		return fmt.Errorf("%d ticket keys: want 1 to %d", len(keys), mostShared)
	}
	var ring []generation
	for i, key := range keys {
		if key.Secret == [32]byte{} || key.Created.IsZero() {
			return fmt.Errorf("ticket key %d of %d has no secret, or no date: want 32 random bytes and when they were made", i+1, len(keys))
		}
		made := keyOf(key.Secret, key.Created)
		if slices.ContainsFunc(ring, func(g generation) bool { return g.id == made.id }) {
			return errors.New("a ticket key is there twice: want each once")
		}
		ring = append(ring, made)
	}
	sortLatestFirst(ring)
	k.rotating.Lock()
	defer k.rotating.Unlock()
	k.ring.Store(&ring)
	return nil
}

func sortLatestFirst(ring []generation) {
	slices.SortStableFunc(ring, func(a, b generation) int { return b.created.Compare(a.created) })
}
