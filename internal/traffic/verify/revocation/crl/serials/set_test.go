package serials_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"countersign.dev/internal/traffic/verify/revocation/crl/serials"
)

// What was added is found with what was said of it, and nothing else is: serial
// numbers of all lengths, so many that they take several pieces of memory.
func TestSetHasWhatWasAddedAndNothingElse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 100, 60000} {
		want := map[string]serials.Record{}
		var b serials.Builder
		for range n {
			serial := make([]byte, 1+r.IntN(serials.MaxSerial))
			for i := range serial {
				serial[i] = byte(r.Uint32())
			}
			serial[0] |= 0x10
			record := serials.Record{At: r.Uint32(), Reason: uint8(r.IntN(7))}
			if err := b.Add(serial, record); err != nil {
				t.Fatal(err)
			}
			if before, had := want[string(serial)]; !had || record.At < before.At {
				want[string(serial)] = record
			}
		}
		s := b.Set()
		if s.Len() != n || b.Len() != 0 {
			t.Errorf("%d records, %d in the builder; want %d and none", s.Len(), b.Len(), n)
		}
		for serial, record := range want {
			if got, ok := s.Lookup([]byte(serial)); !ok || got != record {
				t.Fatalf("%x: %+v, %v; want %+v", serial, got, ok, record)
			}
			other := []byte(serial)
			other[0] ^= 1
			if _, ok := s.Lookup(other); ok != (want[string(other)] != serials.Record{}) {
				t.Fatalf("%x: found %v", other, ok)
			}
		}
	}
}

// A million times the same serial number is no more work than as many others.
func TestDuplicatesAreHarmless(t *testing.T) {
	var b serials.Builder
	for i := range 1000000 {
		if err := b.Add([]byte{1, 2, 3}, serials.Record{At: uint32(2000000 - i), Reason: 1}); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Set()
	if r, ok := s.Lookup([]byte{1, 2, 3}); !ok || r.At != 1000001 {
		t.Errorf("%+v, %v; want the earliest", r, ok)
	}
	if _, ok := s.Lookup([]byte{1, 2, 4}); ok {
		t.Error("another is found")
	}
}

// Who is on a list in one way and off it in another is on it, in either order.
func TestARemovalDoesNotHideARevocation(t *testing.T) {
	for _, reasons := range [][]uint8{{serials.Removed, 1}, {1, serials.Removed}, {serials.Removed, 1, serials.Removed}} {
		var b serials.Builder
		for _, r := range reasons {
			if err := b.Add([]byte{7}, serials.Record{Reason: r}); err != nil {
				t.Fatal(err)
			}
		}
		if r, ok := b.Set().Lookup([]byte{7}); !ok || r.Reason != 1 {
			t.Errorf("%v: %+v, %v", reasons, r, ok)
		}
	}
}

func million(tb testing.TB) *serials.Set {
	var b serials.Builder
	var serial [16]byte
	for i := range uint64(1000000) {
		binary.BigEndian.PutUint64(serial[:], i*0x9e3779b97f4a7c15|1<<62)
		binary.BigEndian.PutUint64(serial[8:], i)
		if err := b.Add(serial[:], serials.Record{At: 1, Reason: 1}); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Set()
}

func BenchmarkLookup(b *testing.B) {
	s := million(b)
	for name, add := range map[string]uint64{"listed": 0, "not listed": 1000000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var serial [16]byte
			n := uint64(0)
			for b.Loop() {
				n = (n*6364136223846793005 + 1442695040888963407)
				i := n>>32%1000000 + add
				binary.BigEndian.PutUint64(serial[:], i*0x9e3779b97f4a7c15|1<<62)
				binary.BigEndian.PutUint64(serial[8:], i)
				if _, ok := s.Lookup(serial[:]); ok != (add == 0) {
					b.Fatal(i, ok)
				}
			}
		})
	}
}
