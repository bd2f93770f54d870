package http_test

import (
	"strings"
	"testing"
)

// T22: the ways in which two HTTP implementations were brought to see different
// messages in the same octets (internal/wire/http1 has them in full). Here: the
// connection ends with one refusal, and no target hears of any of it.
func TestSmugglingEndsTheConnection(t *testing.T) {
	post := func(fields ...string) string {
		return lines(append([]string{"POST / HTTP/1.1", "Host: h"}, fields...)...)
	}
	for _, tt := range []struct{ name, request string }{
		{"CL.TE (RFC 9112 section 6.1)", post("Content-Length: 6", "Transfer-Encoding: chunked") + "0\r\n\r\nG"},
		{"TE.CL (RFC 9112 section 6.1)", post("Transfer-Encoding: chunked", "Content-Length: 4") + "5c\r\n"},
		{"CL 0 beside TE", post("Content-Length: 0", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{"CL hidden by Connection, beside TE", post("Connection: Content-Length", "Content-Length: 6", "Transfer-Encoding: chunked")},
		{"TE.TE", post("Transfer-Encoding: chunked", "Transfer-Encoding: cow") + "0\r\n\r\n"},
		{"TE twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{"TE identity (RFC 9112 section 7)", post("Transfer-Encoding: identity")},
		{"TE xchunked", post("Transfer-Encoding: xchunked") + "0\r\n\r\n"},
		{"TE with a tab in front", post("Transfer-Encoding:\t\vchunked") + "0\r\n\r\n"},
		{"TE in HTTP/1.0", lines("POST / HTTP/1.0", "Transfer-Encoding: chunked") + "0\r\n\r\n"},
		{"CL.CL (RFC 9112 section 6.3)", post("Content-Length: 5", "Content-Length: 6") + "abcdef"},
		{"CL twice", post("Content-Length: 5", "Content-Length: 5") + "abcde"},
		{"CL list", post("Content-Length: 5, 5") + "abcde"},
		{"CL plus", post("Content-Length: +5") + "abcde"},
		{"CL hexadecimal", post("Content-Length: 0x5") + "abcde"},
		{"CL overflow", post("Content-Length: 18446744073709551621") + "abcde"},
		{"space before the colon (CVE-2019-16276)", post("Content-Length : 5") + "abcde"},
		{"Content_Length", post("Content_Length: 5") + "abcde"},
		{"Transfer.Encoding", post("Transfer.Encoding: chunked") + "0\r\n\r\n"},
		{"empty name (CVE-2023-25725)", post(":", "Content-Length: 5") + "abcde"},
		{"NUL in a name", post("Content-Length\x00: 5") + "abcde"},
		{"bare LF (CVE-2025-22871)", "POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nabcde"},
		{"bare CR", post("X: a\rContent-Length: 5") + "abcde"},
		{"folded field (RFC 9112 section 5.2)", post("X: a", " Content-Length: 5") + "abcde"},
		{"folded name", post("Transfer-Encoding:", " chunked") + "0\r\n\r\n"},
		{"white space before the first field", "POST / HTTP/1.1\r\n Host: a\r\nHost: h\r\n\r\n"},
		{"two spaces in the request line", "POST  / HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"a tab in the request line", "POST\t/ HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
		{"a request line within the target", "GET / HTTP/1.1\r\nHost: h\r\nX: HTTP/1.1\n\r\n\r\n"},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"},
		{"Host with user information", "GET / HTTP/1.1\r\nHost: a@h\r\n\r\n"},
		{"Host in two words", "GET / HTTP/1.1\r\nHost: h x\r\n\r\n"},
		{"absolute-form for another host (T15)", "GET http://evil/ HTTP/1.1\r\nHost: h\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			c := start(t, []string{address}).dial()
			c.write(tt.request + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
			if resp, _ := c.read("POST"); resp.StatusCode != 400 && resp.StatusCode != 501 || !resp.Close {
				t.Errorf("%s, close: %t", resp.Status, resp.Close)
			}
			c.ended()
			none(t, got, "a target heard of it")
		})
	}
}

// CVE-2021-40346: a name of 270 octets, whose length HAProxy kept in eight bits,
// is a name as any other.
func TestALongNameHidesNothing(t *testing.T) {
	address, got := recorder(t, ok)
	name := "Content-Length0" + strings.Repeat("a", 255)
	c := start(t, []string{address}).dial()
	c.write(lines("POST / HTTP/1.1", "Host: h", name+":", "Content-Length: 5", "Connection: close") + "abcde")
	c.read("POST")
	c.ended()
	if h := <-got; h.body != "abcde" || strings.Count(h.head, "\r\nContent-Length: ") != 1 {
		t.Errorf("%+v", h)
	}
}
