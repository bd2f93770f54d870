package secure

import "testing"

// Wherever the stream is cut, the ends of its records are found.
func FuzzRecordsEndWhereTheirLengthsSay(f *testing.F) {
	f.Add([]byte{23, 3, 3, 0, 2, 1, 2, 21, 3, 3, 0, 0}, uint16(3))
	f.Add([]byte{23, 3, 3, 1, 0}, uint16(0))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		at := 0
		for len(stream)-at >= 5 && len(stream)-at >= 5+int(stream[at+3])<<8+int(stream[at+4]) {
			at += 5 + int(stream[at+3])<<8 + int(stream[at+4])
		}
		var whole, parts, bytes records
		whole.pass(stream)
		k := min(int(cut), len(stream))
		parts.pass(stream[:k])
		parts.pass(stream[k:])
		for i := range stream {
			bytes.pass(stream[i : i+1])
		}
		for _, r := range []*records{&whole, &parts, &bytes} {
			if r.between() != (at == len(stream)) {
				t.Errorf("between records: %v, though %d of %d bytes are whole records", r.between(), at, len(stream))
			}
		}
	})
}
