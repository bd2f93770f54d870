package crl

import (
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var errTime = errors.New("malformed; want YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")

// readTime reads a Time as RFC 5280 sections 5.1.2.4 and 4.1.2.5 write it: in
// UTC, to the second. A list has as many as entries, hence no time.Parse.
func readTime(s *cryptobyte.String) (time.Time, error) {
	var text cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&text, &tag) {
		return time.Time{}, errTime
	}
	year := 0
	switch {
	case tag == cbasn1.UTCTime && len(text) == 13:
		if year = digits(text[:2]); year >= 0 && year < 50 {
			year += 100
		}
		year += 1900
		text = text[2:]
	case tag == cbasn1.GeneralizedTime && len(text) == 15:
		year = 100*digits(text[:2]) + digits(text[2:4])
		text = text[4:]
	default:
		return time.Time{}, errTime
	}
	month, day, hour, minute, second := digits(text[:2]), digits(text[2:4]), digits(text[4:6]), digits(text[6:8]), digits(text[8:10])
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	// time.Date carries February 30 over into March: what comes out must be what went in.
	if text[10] != 'Z' || year < 0 || t.Month() != time.Month(month) || t.Day() != day || t.Hour() != hour || t.Minute() != minute || t.Second() != second {
		return time.Time{}, errTime
	}
	return t, nil
}

// digits returns the value of two digits; a number that makes any year negative if they are none.
func digits(b []byte) int {
	if b[0] < '0' || b[0] > '9' || b[1] < '0' || b[1] > '9' {
		return -10000
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}
