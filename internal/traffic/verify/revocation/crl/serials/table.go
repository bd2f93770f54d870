package serials

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"sort"
)

// A table has the serial numbers of one length. Each record is the serial number
// and, behind it, the time and the reason.
type table struct {
	width  int // of the serial numbers
	size   int // of a record
	shift  int // 1<<shift records are in a chunk
	chunks [][]byte
	n      int
	starts []uint32 // of the buckets, and the end of the last
}

const (
	behind = 4 + 1
	// chunkSize is the most that a chunk takes.
	chunkSize = 1 << 20
	// perBucket is how many records are in a bucket on average.
	perBucket = 4
)

func newTable(width int) *table {
	t := &table{width: width, size: width + behind}
	t.shift = bits.Len(uint(chunkSize/t.size)) - 1
	return t
}

func (t *table) add(serial []byte, r Record) {
	if t.n&(1<<t.shift-1) == 0 {
		var chunk []byte
		if t.n > 0 { // the first grows as it has to: most lists are short
			chunk = make([]byte, 0, t.size<<t.shift)
		}
		t.chunks = append(t.chunks, chunk)
	}
	last := &t.chunks[len(t.chunks)-1]
	var zeros [step]byte
	c := append(*last, zeros[:t.width-len(serial)]...)
	c = append(c, serial...)
	c = binary.BigEndian.AppendUint32(c, r.At)
	*last = append(c, r.Reason)
	t.n++
}

func (t *table) at(i int) []byte {
	from := (i & (1<<t.shift - 1)) * t.size
	return t.chunks[i>>t.shift][from : from+t.size]
}

func (t *table) serial(i int) []byte { return t.at(i)[:t.width] }

func (t *table) record(i int) Record {
	b := t.at(i)[t.width:]
	return Record{At: binary.BigEndian.Uint32(b), Reason: b[4]}
}

func (t *table) bucket(seed maphash.Seed, serial []byte) int {
	high, _ := bits.Mul64(maphash.Bytes(seed, serial), uint64(len(t.starts)-1))
	return int(high)
}

// order puts the records bucket by bucket, where they are: each that is in the
// wrong bucket changes places with one of the bucket where it belongs (McIlroy,
// Bostic, McIlroy, "Engineering Radix Sort": American flag sort).
func (t *table) order(seed maphash.Seed, pause func()) {
	const often = 1024 // records or buckets
	if pause == nil {
		pause = func() {}
	}
	last := len(t.chunks) - 1
	t.chunks[last] = bytes.Clone(t.chunks[last]) // gives back what it could have grown by
	t.starts = make([]uint32, t.n/perBucket+2)
	for i := range t.n {
		if i%often == 0 {
			pause()
		}
		t.starts[t.bucket(seed, t.serial(i))+1]++
	}
	for b := range len(t.starts) - 1 {
		t.starts[b+1] += t.starts[b]
	}
	next := slices.Clone(t.starts[:len(t.starts)-1])
	for b := range next {
		if b%often == 0 {
			pause()
		}
		for end := t.starts[b+1]; next[b] < end; {
			here := t.at(int(next[b]))
			if to := t.bucket(seed, here[:t.width]); to != b {
				swap(here, t.at(int(next[to])))
				next[to]++
			} else {
				next[b]++
			}
		}
	}
	one := &span{table: t}
	for b := range next {
		if b%often == 0 {
			pause()
		}
		one.low, one.n = int(t.starts[b]), int(t.starts[b+1]-t.starts[b])
		sort.Sort(one)
	}
}

func swap(a, b []byte) {
	var buf [MaxSerial + behind]byte
	n := copy(buf[:], a)
	copy(a, b)
	copy(b, buf[:n])
}

// A span is a bucket as a sort.Interface: by serial number; of the same one, what
// does not take it off the list comes first, then the earlier date.
type span struct {
	*table
	low, n int
}

func (s *span) Len() int { return s.n }

func (s *span) Swap(i, j int) { swap(s.at(s.low+i), s.at(s.low+j)) }

func (s *span) Less(i, j int) bool {
	if c := bytes.Compare(s.serial(s.low+i), s.serial(s.low+j)); c != 0 {
		return c < 0
	}
	a, b := s.record(s.low+i), s.record(s.low+j)
	if a.Reason == Removed || b.Reason == Removed {
		return a.Reason != Removed && b.Reason == Removed
	}
	return cmp.Less(a.At, b.At)
}
