package balance

import "math/bits"

// shares divide the numbers of 64 bits among members, to each as many as its
// weight says: whoever draws numbers evenly draws members by weight.
type shares struct {
	n    int
	ends []uint64 // where each member's part ends, inclusively; nil: all parts are alike
	// guide has for each of n equal parts the member with which it begins, so that
	// at looks at two members on average, however many there are.
	guide []int32
}

func sharesOf(s Set) shares {
	n := len(s.Members)
	if s.Weights == nil || n == 0 {
		return shares{n: n}
	}
	var sum float64
	for _, w := range s.Weights {
		sum += w
	}
	out := shares{n: n, ends: make([]uint64, n), guide: make([]int32, n)}
	var upTo float64
	for i, w := range s.Weights {
		upTo += w
		if share := upTo / sum; share < 1 {
			out.ends[i] = uint64(share * (1 << 63) * 2)
		} else {
			out.ends[i] = 1<<64 - 1
		}
	}
	out.ends[n-1] = 1<<64 - 1
	i := 0
	for part := range out.guide {
		for scale(out.ends[i], n) < part {
			i++
		}
		out.guide[part] = int32(i)
	}
	return out
}

// scale returns in which of n equal parts of the numbers of 64 bits x is.
func scale(x uint64, n int) int {
	part, _ := bits.Mul64(x, uint64(n))
	return int(part)
}

// at returns the member whose part x is in.
func (s *shares) at(x uint64) int {
	if s.ends == nil {
		return scale(x, s.n)
	}
	i := int(s.guide[scale(x, s.n)])
	for s.ends[i] < x {
		i++
	}
	return i
}

// untried returns i, or the next member behind it that was not tried; -1: there
// is none.
func (s *shares) untried(i int, tried *Tried) int {
	for range s.n {
		if !tried.Has(i) {
			return i
		}
		if i++; i == s.n {
			i = 0
		}
	}
	return -1
}
