package revocation

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"sort"
	"time"
)

// maxSerial is the longest serial number taken, in octets. RFC 5280 section
// 4.1.2.2 allows 20; some authorities use a few more.
const maxSerial = 64

// entries is a set of revoked serial numbers. Those of one length lie sorted in
// one piece of memory, so that a million of them are 26 MB and no pointer.
type entries struct {
	byLength [maxSerial + 1]records
	odd      int // negative serial numbers, which no certificate that crypto/x509 reads can have
}

// records are of one length: the serial number's octets, the time of revocation
// as five octets of Unix seconds, the reason.
type records struct {
	width int // of the serial number
	data  []byte
}

const afterSerial = 5 + 1

func (e *entries) add(serial []byte, at time.Time, why Reason) {
	r := &e.byLength[len(serial)]
	r.width = len(serial)
	r.data = append(r.data, serial...)
	// Before 1970 nothing was revoked; a time there is a mistake, not a reason to lose the entry.
	var seconds [8]byte
	binary.BigEndian.PutUint64(seconds[:], uint64(max(at.Unix(), 0)))
	r.data = append(r.data, seconds[3:]...)
	r.data = append(r.data, byte(why))
}

// seal sorts the set and gives back spare memory. Nothing is added after it.
func (e *entries) seal() {
	for i := range e.byLength {
		r := &e.byLength[i]
		if !sort.IsSorted(r) {
			sort.Sort(r)
		}
		r.data = bytes.Clone(r.data)
	}
}

func (e *entries) len() int {
	n := e.odd
	for i := range e.byLength {
		n += e.byLength[i].Len()
	}
	return n
}

func (e *entries) lookup(serial *big.Int) (Entry, bool) {
	n := octets(serial)
	if serial.Sign() < 0 || n > maxSerial {
		return Entry{}, false
	}
	var buf [maxSerial]byte
	return e.byLength[n].find(serial.FillBytes(buf[:n]))
}

// octets returns the length of a serial number without leading zeros; zero itself has one.
func octets(serial *big.Int) int { return max((serial.BitLen()+7)/8, 1) }

func (r *records) find(serial []byte) (Entry, bool) {
	low, high := 0, r.Len()
	for low < high {
		mid := int(uint(low+high) >> 1)
		record := r.at(mid)
		switch bytes.Compare(record[:r.width], serial) {
		case 0:
			var seconds [8]byte
			copy(seconds[3:], record[r.width:])
			return Entry{
				RevokedAt: time.Unix(int64(binary.BigEndian.Uint64(seconds[:])), 0).UTC(),
				Reason:    Reason(record[r.width+5]),
			}, true
		case -1:
			low = mid + 1
		default:
			high = mid
		}
	}
	return Entry{}, false
}

func (r *records) at(i int) []byte {
	size := r.width + afterSerial
	return r.data[i*size : (i+1)*size]
}

// Len, Less and Swap are sort.Interface.
func (r *records) Len() int { return len(r.data) / (r.width + afterSerial) }

func (r *records) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }

func (r *records) Swap(i, j int) {
	var buf [maxSerial + afterSerial]byte
	n := copy(buf[:], r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), buf[:n])
}
