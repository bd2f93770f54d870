package serials

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
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

// A record is the length of the serial number, its octets, the time, the reason.
const (
	overhead  = 1 + 4 + 1
	chunkBits = 20
	chunkSize = 1 << chunkBits
	// maxChunks is how many an offset of 32 bits can tell apart, less one, so
	// that offset+1 is never 0, which means a free slot.
	maxChunks = 1<<(32-chunkBits) - 1
)

// ErrFull says that the records take more than 4 GiB.
var ErrFull = errors.New("the serial numbers take more than 4 GiB")

// A Builder collects a Set. The zero value is ready.
type Builder struct {
	chunks [][]byte
	n      int
}

// Add takes a serial number of 1 to MaxSerial octets without leading zeros,
// which is copied.
func (b *Builder) Add(serial []byte, r Record) error {
	need := len(serial) + overhead
	if n := len(b.chunks); n == 0 || len(b.chunks[n-1])+need > chunkSize {
		if n == maxChunks {
			return ErrFull
		}
		var chunk []byte
		if n > 0 { // the first grows as it has to: most lists are short
			chunk = make([]byte, 0, chunkSize)
		}
		b.chunks = append(b.chunks, chunk)
	}
	last := &b.chunks[len(b.chunks)-1]
	c := append(*last, byte(len(serial)))
	c = append(c, serial...)
	c = binary.BigEndian.AppendUint32(c, r.At)
	*last = append(c, r.Reason)
	b.n++
	return nil
}

// Len returns how many records there are.
func (b *Builder) Len() int { return b.n }

// Set returns the set; the Builder is empty afterwards. Of several records of a
// serial number the first counts that does not take it off the list: who is on
// it in one way is on it.
func (b *Builder) Set() *Set {
	s := &Set{chunks: b.chunks, n: b.n, seed: maphash.MakeSeed()}
	*b = Builder{}
	if s.n == 0 {
		return s
	}
	last := len(s.chunks) - 1
	s.chunks[last] = bytes.Clone(s.chunks[last]) // gives back what it could have grown by
	s.chunks = slices.Clip(s.chunks)
	used := bits.Len32(uint32(last)<<chunkBits + chunkSize)
	s.offset = uint32(math.MaxUint32)
	if used < 32 {
		s.offset = 1<<used - 1
	}
	s.slots = make([]uint32, 2*s.n)
	for i, chunk := range s.chunks {
		for at := 0; at < len(chunk); at += int(chunk[at]) + overhead {
			s.insert(uint32(i)<<chunkBits + uint32(at))
		}
	}
	return s
}

// A Set is immutable and safe for concurrent use. The zero value is empty.
type Set struct {
	chunks [][]byte
	// slots are free when 0. The low bits, those of the mask offset, are where the
	// record begins, plus one; the others are bits of the serial number's hash,
	// so that hardly any other serial number is looked at.
	slots  []uint32
	offset uint32
	n      int
	seed   maphash.Seed
}

// Len returns how many records the set was made of.
func (s *Set) Len() int { return s.n }

// Lookup finds the record of a serial number without leading zeros. It does not
// allocate.
func (s *Set) Lookup(serial []byte) (Record, bool) {
	if s.n == 0 || len(serial) > MaxSerial {
		return Record{}, false
	}
	i, tag := s.home(serial)
	for ; s.slots[i] != 0; i = s.next(i) {
		if s.slots[i]&^s.offset != tag {
			continue
		}
		if found, r := s.record(s.slots[i]&s.offset - 1); bytes.Equal(found, serial) {
			return r, true
		}
	}
	return Record{}, false
}

func (s *Set) insert(offset uint32) {
	serial, r := s.record(offset)
	i, tag := s.home(serial)
	for ; s.slots[i] != 0; i = s.next(i) {
		if s.slots[i]&^s.offset != tag {
			continue
		}
		if found, before := s.record(s.slots[i]&s.offset - 1); bytes.Equal(found, serial) {
			if before.Reason != Removed || r.Reason == Removed {
				return
			}
			break
		}
	}
	s.slots[i] = tag | (offset + 1)
}

// home returns the first slot to look at, and the bits that the slot has.
func (s *Set) home(serial []byte) (slot int, tag uint32) {
	h := maphash.Bytes(s.seed, serial)
	high, _ := bits.Mul64(h, uint64(len(s.slots)))
	return int(high), uint32(h) &^ s.offset
}

func (s *Set) next(slot int) int {
	if slot++; slot == len(s.slots) {
		return 0
	}
	return slot
}

// record returns what begins at an offset.
func (s *Set) record(offset uint32) ([]byte, Record) {
	b := s.chunks[offset>>chunkBits][offset&(chunkSize-1):]
	n := int(b[0])
	return b[1 : 1+n], Record{At: binary.BigEndian.Uint32(b[1+n:]), Reason: b[5+n]}
}
