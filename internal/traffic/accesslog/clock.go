package accesslog

import (
	"strconv"
	"time"
)

// A clock writes times. Most lines of one moment share their second, so it
// remembers how the last one was written.
type clock struct {
	unix   int64
	valid  bool
	second [len("2006-01-02T15:04:05")]byte
}

// appendMicro appends t as AWS does: UTC, six digits of a second.
func (c *clock) appendMicro(dst []byte, t time.Time) []byte {
	if unix := t.Unix(); !c.valid || unix != c.unix {
		var b [64]byte
		s := t.UTC().AppendFormat(b[:0], "2006-01-02T15:04:05")
		if len(s) != len(c.second) { // a year of five digits
			return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
		}
		copy(c.second[:], s)
		c.unix, c.valid = unix, true
	}
	dst = append(dst, c.second[:]...)
	micro := t.Nanosecond() / 1000
	return append(dst, '.',
		byte('0'+micro/100000), byte('0'+micro/10000%10), byte('0'+micro/1000%10),
		byte('0'+micro/100%10), byte('0'+micro/10%10), byte('0'+micro%10), 'Z')
}

// appendSecond appends t in UTC without a fraction.
func (*clock) appendSecond(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05Z")
}

// appendSeconds appends a duration that is not negative in seconds with three
// decimals.
func appendSeconds(dst []byte, d time.Duration) []byte {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond >= time.Millisecond/2 {
		ms++
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	ms %= 1000
	return append(dst, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
}

// appendID appends 16 hex digits that stand for name: AWS's resource IDs have
// this form, and tools look for it. FNV-1a, 64 bits.
func appendID(dst []byte, name string) []byte {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, lowerHex[h>>shift&15])
	}
	return dst
}
