package serials

import "iter"

// All returns every serial number, without leading zeros, as often as it was
// added. The caller must not change what it gets.
func (s *Set) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, t := range s.tables {
			if t == nil {
				continue
			}
			for i := range t.n {
				serial := t.serial(i)
				for len(serial) > 1 && serial[0] == 0 {
					serial = serial[1:]
				}
				if !yield(serial) {
					return
				}
			}
		}
	}
}
