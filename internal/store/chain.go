package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"countersign.dev"
)

// Seal returns the hash of an entry that follows one with the hash before: over
// each field with its length, so that no two entries have the same bytes.
func Seal(before [32]byte, e countersign.TrailEntry) [32]byte {
	b := make([]byte, 0, 256)
	b = append(b, before[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Number))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMilli()))
	for _, s := range []string{e.Device, e.Who, e.What, e.Why, string(e.From), string(e.To), e.Detail} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(b)
}

// A Chain checks the trail of one device, entry by entry from the first.
type Chain struct {
	number int64
	hash   [32]byte
	state  countersign.State
}

// Check says what is wrong with the next entry, if anything is.
func (c *Chain) Check(e countersign.TrailEntry) error {
	switch {
	case e.Number != c.number+1:
		return fmt.Errorf("trail of %s: entry %d follows entry %d: entries were taken out or put in", e.Device, e.Number, c.number)
	case e.From != c.state:
		return fmt.Errorf("trail of %s: entry %d begins at state %q, the one before ended at %q", e.Device, e.Number, e.From, c.state)
	case Seal(c.hash, e) != e.Hash:
		return fmt.Errorf("trail of %s: entry %d does not have its hash: it, or one before it, was altered", e.Device, e.Number)
	}
	c.number, c.hash, c.state = e.Number, e.Hash, e.To
	return nil
}

// Length is how many entries were checked; the device's Revision is as much,
// unless the last entries were taken out.
func (c *Chain) Length() int64 { return c.number }
