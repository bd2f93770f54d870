package balance

import "math/bits"

// A Key stands for a client, an address, or whatever requests are to be kept
// together by. Equal things have equal keys, on every node and after every
// restart. 0 stands for nothing.
type Key uint64

// KeyOf returns the key of b, 0 if that is empty.
func KeyOf(b []byte) Key { return keyOf(b) }

// KeyOfString is KeyOf for a string.
func KeyOfString(s string) Key { return keyOf(s) }

func keyOf[T []byte | string](b T) Key {
	if len(b) == 0 {
		return 0
	}
	h := uint64(14695981039346656037) // FNV-1a, and then what spreads its weak high bits
	for i := range len(b) {
		h = (h ^ uint64(b[i])) * 1099511628211
	}
	return max(1, Key(spread(h)))
}

// With returns the key of k and other together, in this order.
func (k Key) With(other Key) Key {
	return max(1, Key(spread(bits.RotateLeft64(uint64(k), 23)^uint64(other))))
}

// spread makes every bit of x count for every bit of the result: the finalizer
// of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
// Generators, section 4).
func spread(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
