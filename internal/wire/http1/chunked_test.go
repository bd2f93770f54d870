package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decoded is what came out of a chunked body.
type decoded struct {
	data     string
	used     int
	done     bool
	err      error
	trailers string
	dropped  int
}

// decode feeds b to c in pieces of step octets.
func decode(t rapid.TB, c *Chunks, b []byte, step int) (d decoded) {
	t.Helper()
	var all strings.Builder
	for at := 0; at < len(b) && !d.done && d.err == nil; at += step {
		// Each piece is in memory of its own: nothing may be kept of the last one.
		in := append([]byte(nil), b[at:min(at+step, len(b))]...)
		for {
			data, n, done, err := c.Next(in)
			if n > len(in) || len(data) > n {
				t.Fatalf("%d octets of data, %d consumed of %d", len(data), n, len(in))
			}
			if err != nil && len(data) > 0 {
				t.Fatal("data with an error")
			}
			if n == 0 && !done && err == nil && len(in) > 0 {
				t.Fatal("no progress")
			}
			all.Write(data)
			d.used += n
			d.done, d.err = done, err
			if in = in[n:]; done || err != nil || len(in) == 0 {
				break
			}
		}
		clear(in[:cap(in)])
	}
	d.data = all.String()
	for _, f := range c.Trailers() {
		d.trailers += fmt.Sprintf("%s=%s;", f.Name, f.Value)
	}
	d.dropped = c.Dropped()
	return d
}

// decodeBoth decodes b whole and in pieces, and fails where that differs.
func decodeBoth(t rapid.TB, b []byte, lim Limits) decoded {
	t.Helper()
	c := Chunks{Limits: lim}
	whole := decode(t, &c, b, max(1, len(b)))
	for _, step := range []int{1, 3, 7} {
		c.Reset()
		pieces := decode(t, &c, b, step)
		if pieces.err != nil && whole.err != nil {
			// How much of a broken section was consumed is nobody's business.
			pieces.used = whole.used
			var p, w *Error
			if errors.As(pieces.err, &p) && errors.As(whole.err, &w) && p.Status == w.Status && p.Kind == w.Kind {
				pieces.err = whole.err
			}
		}
		if pieces != whole {
			t.Fatalf("in pieces of %d: %+v\nwhole: %+v", step, pieces, whole)
		}
	}
	if whole.err != nil {
		if _, n, done, err := c.Next([]byte("0\r\n\r\n")); err == nil || n != 0 || done {
			t.Errorf("after an error: %d octets more, done %v, error %v; want the error again", n, done, err)
		}
	}
	return whole
}

func TestChunks(t *testing.T) {
	for _, tt := range []struct{ name, in, data, clause string }{
		{"nothing", LastChunk, "", "RFC 9112 7.1"},
		{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", "RFC 9112 7.1"},
		{"two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", "RFC 9112 7.1"},
		{"data that looks like framing", "7\r\n0\r\n\r\n5\r\r\n0\r\n\r\n", "0\r\n\r\n5\r", "RFC 9112 7.1"},
		{"both cases", "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "RFC 9112 7.1"},
		{"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello", "RFC 9112 7.1"},
		{"sixteen digits", "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello", "RFC 9112 7.1"},
		{"extensions", "5;a;b=c;d=\"e;f\xff\"\r\nhello\r\n0;x\r\n\r\n", "hello", "RFC 9112 7.1.1"},
		{"white space around extensions", "5 \t; a = b \r\nhello\r\n0\r\n\r\n", "hello", "RFC 9112 7.1.1"},
		{"extension of digits", "5;5\r\nhello\r\n0\r\n\r\n", "hello", "RFC 9112 7.1.1"},
		{"the longest size line", "5;" + strings.Repeat("a", maxSizeLine-3) + "\r\nhello\r\n0\r\n\r\n", "hello", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := decodeBoth(t, []byte(tt.in), Limits{}); d.err != nil || !d.done || d.data != tt.data || d.used != len(tt.in) {
				t.Errorf("%+v, want %q of %d octets (%s)", d, tt.data, len(tt.in), tt.clause)
			}
			// What follows belongs to the next message.
			if d := decodeBoth(t, []byte(tt.in+"GET / HTTP/1.1\r\n\r\n"), Limits{}); d.err != nil || !d.done || d.used != len(tt.in) {
				t.Errorf("with octets behind: %+v, want %d consumed", d, len(tt.in))
			}
			for i := range len(tt.in) {
				if d := decode(t, &Chunks{}, []byte(tt.in[:i]), len(tt.in)); d.err != nil || d.done || d.used != i {
					t.Fatalf("cut after %d octets: %+v, want it incomplete", i, d)
				}
			}
		})
	}
}

func TestChunksRefused(t *testing.T) {
	for _, tt := range []struct{ name, in, source string }{
		{"no size", "\r\n", "RFC 9112 7.1"},
		{"no size but an extension", ";a\r\n", "RFC 9112 7.1"},
		{"white space before the size", " 5\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"white space behind the size", "5 \r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"white space behind the last size", "0 \r\n\r\n", "RFC 9112 7.1"},
		{"white space, then a digit", "5 5\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"plus", "+5\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"minus", "-5\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"underscore", "1_0\r\n0123456789012345\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"no hexadecimal digit", "5g\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"quote instead of an extension", "5\"\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"seventeen digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", ""},
		{"2^63", "8000000000000000\r\n", ""},
		{"2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n", ""},
		{"sixteen f", "ffffffffffffffff\r\n", ""},
		{"bare LF behind a size", "5\nhello\r\n0\r\n\r\n", "CVE-2025-22871"},
		{"bare LF in an extension", "5;a\nhello\r\n0\r\n\r\n", "CVE-2025-22871"},
		{"bare LF behind the last size", "0\n\r\n", "CVE-2025-22871"},
		{"bare CR behind a size", "5\rhello\r\n0\r\n\r\n", "RFC 9112 2.2"},
		{"bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", "RFC 9112 2.2"},
		{"NUL in an extension", "5;\x00\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1.1"},
		{"line end in a quoted extension", "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", "RFC 9110 5.6.4"},
		{"more data than announced", "5\r\nhello!\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"less data than announced", "6\r\nhello\r\n0\r\n\r\n", "RFC 9112 7.1"},
		{"bare LF behind the data", "5\r\nhello\n0\r\n\r\n", "RFC 9112 7.1"},
		{"bare CR behind the data", "5\r\nhello\r0\r\n\r\n", "RFC 9112 7.1"},
		{"any two octets behind the data", "5\r\nhelloXX0\r\n\r\n", "RFC 9112 7.1"},
		{"bare LF at the end", "0\r\n\n", "RFC 9112 7.1"},
		{"bare CR at the end", "0\r\n\rX", "RFC 9112 7.1"},
		{"a size line of more than 4 KiB", "5;" + strings.Repeat("a", maxSizeLine) + "\r\nhello\r\n0\r\n\r\n", "CVE-2023-39326"},
		{"more extensions than data", strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 18) + LastChunk, "CVE-2023-39326"},
		// The trailer section.
		{"request line as trailer", "0\r\nGET / HTTP/1.1\r\n\r\n", "RFC 9112 7.1.2"},
		{"trailer without a name", "0\r\n: a\r\n\r\n", "RFC 9112 5"},
		{"trailer with a space before the colon", "0\r\nX : a\r\n\r\n", "RFC 9112 5.1"},
		{"folded trailer", "0\r\nX: a\r\n b\r\n\r\n", "RFC 9112 5.2"},
		{"trailer that starts with a space", "0\r\n X: a\r\n\r\n", "RFC 9112 2.2"},
		{"bare LF in the trailers", "0\r\nX: a\n\r\n", "RFC 9112 2.2"},
		{"bare LF as the end of the trailers", "0\r\nX: a\r\n\n", "RFC 9112 2.2"},
		{"bare CR in the trailers", "0\r\nX: a\rb\r\n\r\n", "RFC 9112 2.2"},
		{"NUL in the trailers", "0\r\nX: \x00\r\n\r\n", "RFC 9110 5.5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decodeBoth(t, []byte(tt.in), Limits{})
			var e *Error
			if d.done || !errors.As(d.err, &e) || e.Status != 400 {
				t.Errorf("%+v, want it refused with 400 (%s)", d, tt.source)
			}
		})
	}
}

// TestChunksOverheadIsPaidForByData: what would be too much with chunks of one
// octet is nothing beside real data.
func TestChunksOverheadIsPaidForByData(t *testing.T) {
	in := strings.Repeat("400;"+strings.Repeat("a", 1000)+"\r\n"+strings.Repeat("x", 1024)+"\r\n", 100) + LastChunk
	if d := decodeBoth(t, []byte(in), Limits{}); d.err != nil || !d.done || len(d.data) != 100<<10 {
		t.Errorf("done %v, %d octets, %v", d.done, len(d.data), d.err)
	}
	in = strings.Repeat("1\r\nx\r\n", 50000) + LastChunk
	if d := decodeBoth(t, []byte(in), Limits{}); d.err != nil || !d.done || len(d.data) != 50000 {
		t.Errorf("done %v, %d octets, %v", d.done, len(d.data), d.err)
	}
}

func TestTrailers(t *testing.T) {
	in := "5\r\nhello\r\n0\r\n" +
		"X-Checksum: \tabc \r\n" +
		"Content-Length: 9\r\n" +
		"transfer-encoding: chunked\r\n" +
		"Transfer_Encoding: chunked\r\n" +
		"Host: evil\r\n" +
		"Connection: X-Checksum\r\n" +
		"TE: trailers\r\n" +
		"Upgrade: h2c\r\n" +
		"AUTHORIZATION: Basic eA==\r\n" +
		"Set-Cookie: a=b\r\n" +
		"X-Forwarded-For: 10.0.0.1\r\n" +
		"If-None-Match: *\r\n" +
		"Cache-Control: no-store\r\n" +
		"Trailer: X\r\n" +
		"Content-Type: text/html\r\n" +
		"Empty:\r\n" +
		"\r\n"
	d := decodeBoth(t, []byte(in), Limits{})
	if d.err != nil || !d.done || d.data != "hello" {
		t.Fatalf("%+v", d)
	}
	if want := "X-Checksum=abc;Empty=;"; d.trailers != want || d.dropped != 14 {
		t.Errorf("kept %q, dropped %d; want %q, 14 (RFC 9110 6.5.1)", d.trailers, d.dropped, want)
	}
	var c Chunks
	decode(t, &c, []byte(in), len(in))
	c.Reset()
	if d := decode(t, &c, []byte(LastChunk), 1); !d.done || d.trailers != "" || d.dropped != 0 {
		t.Errorf("the next body: %+v, want no trailers", d)
	}
}

func TestTrailerLimits(t *testing.T) {
	lim := Limits{Field: 20, Head: 50, Count: 3}
	for in, want := range map[string]bool{
		"0\r\nX: 01234567890123456\r\n\r\n":                                true,
		"0\r\nX: 012345678901234567\r\n\r\n":                               false,
		"0\r\nX: 0123456789012345678901234567890123456789":                 false,
		"0\r\nX: 01234567890123456\r\nY: 01234567890123456\r\nZ: \r\n\r\n": false,
		"0\r\nX: 01234567890123456\r\nY: 01234567890123456\r\n\r\n":        true,
		"0\r\nX:\r\nY:\r\nZ:\r\n\r\n":                                      true,
		"0\r\nX:\r\nY:\r\nZ:\r\nA:\r\n\r\n":                                false,
		"0\r\n" + strings.Repeat("a", 30):                                  false,
	} {
		d := decodeBoth(t, []byte(in), lim)
		var e *Error
		if want && (d.err != nil || !d.done) || !want && (!errors.As(d.err, &e) || e.Status != 431) {
			t.Errorf("%q: %+v, want accepted: %v", in, d, want)
		}
	}
}

func TestAppendChunk(t *testing.T) {
	b := append(AppendChunkHeader([]byte("x"), 255), ChunkEnd...)
	if want := "xff\r\n\r\n"; string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	b = AppendChunkHeader(nil, 3)
	b = append(b, "abc"+ChunkEnd+LastSize+"X: y\r\n\r\n"...)
	if d := decodeBoth(t, b, Limits{}); !d.done || d.data != "abc" || d.trailers != "X=y;" {
		t.Errorf("%+v", d)
	}
}
