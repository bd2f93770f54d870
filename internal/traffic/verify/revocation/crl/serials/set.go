package serials

import (
	"bytes"
	"errors"
	"hash/maphash"
	"math"
)

// MaxSerial is the longest serial number taken, in octets. RFC 5280 section
// 4.1.2.2 allows 20; some authorities use a few more.
const MaxSerial = 64

// Removed is the reason code removeFromCRL of RFC 5280 section 5.3.1.
const Removed = 8

// A Record is what is kept with a serial number.
type Record struct {
	At     uint32 // Unix seconds
	Reason uint8  // a CRLReason
}

// Serial numbers are padded with zeros in front to a multiple of step, so that
// there are few lengths.
const (
	step    = 4
	lengths = MaxSerial / step
)

// ErrFull says that there are too many records to count.
var ErrFull = errors.New("more than 2^31 serial numbers")

// A Builder collects a Set. The zero value is ready.
type Builder struct {
	// Pause is called again and again while the set is made; nil: never.
	Pause func()

	tables [lengths]*table
	n      int
}

// Add takes a serial number of 1 to MaxSerial octets, which is copied.
func (b *Builder) Add(serial []byte, r Record) error {
	if b.n == math.MaxInt32 {
		return ErrFull
	}
	i := (len(serial) - 1) / step
	if b.tables[i] == nil {
		b.tables[i] = newTable((i + 1) * step)
	}
	b.tables[i].add(serial, r)
	b.n++
	return nil
}

// Len returns how many records there are.
func (b *Builder) Len() int { return b.n }

// Set returns the set; the Builder is empty afterwards. Of several records of a
// serial number the one with the earliest date counts that does not take it off
// the list: who is on it in one way is on it.
func (b *Builder) Set() *Set {
	s := &Set{tables: b.tables, n: b.n, seed: maphash.MakeSeed()}
	*b = Builder{Pause: b.Pause}
	for _, t := range s.tables {
		if t != nil {
			t.order(s.seed, b.Pause)
		}
	}
	return s
}

// A Set is immutable and safe for concurrent use. The zero value is empty.
type Set struct {
	tables [lengths]*table // by length of the serial numbers; nil: none
	n      int
	seed   maphash.Seed
}

// Len returns how many records the set was made of.
func (s *Set) Len() int { return s.n }

// Lookup finds the record of a serial number without leading zeros. It does not
// allocate.
func (s *Set) Lookup(serial []byte) (Record, bool) {
	if len(serial) == 0 || len(serial) > MaxSerial {
		return Record{}, false
	}
	t := s.tables[(len(serial)-1)/step]
	if t == nil {
		return Record{}, false
	}
	var padded [MaxSerial]byte
	copy(padded[t.width-len(serial):], serial)
	return t.find(s.seed, padded[:t.width])
}

// find looks in the serial number's bucket, whose records are in order.
func (t *table) find(seed maphash.Seed, serial []byte) (Record, bool) {
	b := t.bucket(seed, serial)
	low, high := int(t.starts[b]), int(t.starts[b+1])
	const few = 16
	for high-low > few { // where a serial number was added very often
		if mid := int(uint(low+high) >> 1); bytes.Compare(t.serial(mid), serial) < 0 {
			low = mid + 1
		} else {
			high = mid + 1
		}
	}
	for ; low < high; low++ {
		if bytes.Equal(t.serial(low), serial) {
			return t.record(low), true
		}
	}
	return Record{}, false
}
