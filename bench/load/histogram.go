package load

import (
	"math/bits"
	"time"
)

// A histogram counts durations in classes that are at most 1/128 of their value
// wide, in constant memory: recording must not disturb what is measured.
type histogram struct {
	counts [(64 - subBits) << subBits]uint32
	n      uint64
}

const subBits = 7 // 2^subBits classes for each power of two

func class(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits // the leading one and subBits more are kept
	return (shift+1)<<subBits + int(v>>shift) - 1<<subBits
}

// middle is the duration in the middle of a class.
func middle(class int) time.Duration {
	if class < 2<<subBits {
		return time.Duration(class)
	}
	shift := class>>subBits - 1
	low := uint64(class&(1<<subBits-1)|1<<subBits) << shift
	return time.Duration(low + 1<<shift/2)
}

func (h *histogram) record(d time.Duration) {
	h.counts[class(d)]++
	h.n++
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.n += other.n
}

// percentile returns the least recorded duration that p percent of all do not
// exceed (nearest rank), 0 when there is none.
func (h *histogram) percentile(p float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(p / 100 * float64(h.n))
	if float64(rank)*100 < p*float64(h.n) {
		rank++
	}
	rank = max(rank, 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			return middle(i)
		}
	}
	return middle(len(h.counts) - 1)
}
