package crl

import "iter"

// Serials returns the serial numbers on the list: big-endian, without leading
// zeros. The caller must not change them.
func (l *List) Serials() iter.Seq[[]byte] { return l.entries.All() }

// Reason is that of the entry for a serial number in the form of Serials.
func (l *List) Reason(serial []byte) (Reason, bool) {
	r, ok := l.entries.Lookup(serial)
	return Reason(r.Reason), ok
}
