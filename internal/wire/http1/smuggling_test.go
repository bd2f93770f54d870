package http1

import "testing"

// TestSmuggling holds the ways in which two HTTP implementations have been
// brought to see different messages in the same octets.
func TestSmuggling(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		status   int
		kind     string
		source   string
	}{
		// Two answers to where the content ends.
		{"CL.TE", get("Content-Length: 6", "Transfer-Encoding: chunked"), 400, BothTeClPresent, "RFC 9112 6.1"},
		{"TE.CL", get("Transfer-Encoding: chunked", "Content-Length: 6"), 400, BothTeClPresent, "RFC 9112 6.1"},
		{"CL 0 beside TE", get("Content-Length: 0", "Transfer-Encoding: chunked"), 400, BothTeClPresent, "RFC 9112 6.1"},
		{"Connection names Content-Length, TE too", get("Connection: Content-Length", "Content-Length: 6", "Transfer-Encoding: chunked"), 400, BothTeClPresent, "RFC 9112 6.1"},
		{"TE in HTTP/1.0", lines("POST / HTTP/1.0", "Transfer-Encoding: chunked"), 400, BadTransferEncoding, "RFC 9112 6.1"},
		// Content-Length.
		{"two different", get("Content-Length: 5", "Content-Length: 6"), 400, MultipleContentLength, "RFC 9112 6.3"},
		{"two identical", get("Content-Length: 5", "Content-Length: 5"), 400, DuplicateContentLength, "RFC 9112 6.3, stricter"},
		{"two, one in other letters", get("Content-Length: 5", "CONTENT-length: 05"), 400, DuplicateContentLength, "RFC 9112 6.3, stricter"},
		{"identical list", get("Content-Length: 5, 5"), 400, BadContentLength, "RFC 9112 6.3, stricter"},
		{"list", get("Content-Length: 5,6"), 400, BadContentLength, "RFC 9112 6.3"},
		{"plus", get("Content-Length: +5"), 400, BadContentLength, "RFC 9110 8.6"},
		{"minus", get("Content-Length: -5"), 400, BadContentLength, "RFC 9110 8.6"},
		{"hexadecimal", get("Content-Length: 0x5"), 400, BadContentLength, "RFC 9110 8.6"},
		{"underscore", get("Content-Length: 1_0"), 400, BadContentLength, "RFC 9110 8.6"},
		{"inner space", get("Content-Length: 1 0"), 400, BadContentLength, "RFC 9110 8.6"},
		{"exponent", get("Content-Length: 1e1"), 400, BadContentLength, "RFC 9110 8.6"},
		{"decimal point", get("Content-Length: 5.0"), 400, BadContentLength, "RFC 9110 8.6"},
		{"quoted", get(`Content-Length: "5"`), 400, BadContentLength, "RFC 9110 8.6"},
		{"full-width digit", get("Content-Length: \uff15"), 400, BadContentLength, "RFC 9110 8.6"},
		{"empty", get("Content-Length:"), 400, BadContentLength, "RFC 9110 8.6"},
		{"2^63", get("Content-Length: 9223372036854775808"), 400, BadContentLength, "RFC 9110 8.6"},
		{"2^64 + 5", get("Content-Length: 18446744073709551621"), 400, BadContentLength, "RFC 9110 8.6"},
		{"form feed before the number", get("Content-Length: \f5"), 400, NonCompliantHeader, "RFC 9110 5.5"},
		{"no-break space before the number", get("Content-Length: \xa05"), 400, BadContentLength, "RFC 9110 8.6"},
		// Transfer-Encoding.
		{"twice", get("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400, MultipleTransferEncodingChunked, "RFC 9112 6.1"},
		{"chunked, then identity", get("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), 400, MultipleTransferEncodingChunked, "RFC 9112 6.1"},
		{"chunked twice in a list", get("Transfer-Encoding: chunked, chunked"), 400, BadTransferEncoding, "RFC 9112 6.1"},
		{"chunked not last", get("Transfer-Encoding: chunked, gzip"), 400, BadTransferEncoding, "RFC 9112 6.3"},
		{"gzip, chunked", get("Transfer-Encoding: gzip, chunked"), 501, BadTransferEncoding, "RFC 9112 6.1"},
		{"gzip", get("Transfer-Encoding: gzip"), 501, BadTransferEncoding, "RFC 9112 6.1"},
		{"identity", get("Transfer-Encoding: identity"), 501, BadTransferEncoding, "RFC 9112 7"},
		{"xchunked", get("Transfer-Encoding: xchunked"), 501, BadTransferEncoding, "RFC 9112 6.1"},
		{"two words", get("Transfer-Encoding: chunked identity"), 400, BadTransferEncoding, "RFC 9112 7"},
		{"parameter", get("Transfer-Encoding: chunked;q=1"), 400, BadTransferEncoding, "RFC 9112 7"},
		{"quoted", get(`Transfer-Encoding: "chunked"`), 400, BadTransferEncoding, "RFC 9112 7"},
		{"empty", get("Transfer-Encoding:"), 400, BadTransferEncoding, "RFC 9112 6.1"},
		{"comma before", get("Transfer-Encoding: ,chunked"), 400, BadTransferEncoding, "RFC 9112 6.1"},
		{"comma behind", get("Transfer-Encoding: chunked,"), 400, BadTransferEncoding, "RFC 9112 6.1"},
		{"vertical tab before", get("Transfer-Encoding: \vchunked"), 400, NonCompliantHeader, "CVE-2022-1705"},
		{"NUL behind", get("Transfer-Encoding: chunked\x00"), 400, BadHeader, "CVE-2022-1705"},
		{"long s", get("Transfer-Encoding: \u017fchunked"), 400, BadTransferEncoding, "CVE-2022-1705"},
		{"Kelvin sign", get("Transfer-Encoding: chun\u212aed"), 400, BadTransferEncoding, "CVE-2022-1705"},
		// Names that somebody reads as another.
		{"space before the colon", get("Content-Length : 5"), 400, SuspiciousHeader, "RFC 9112 5.1, CVE-2019-16276"},
		{"tab before the colon", get("Transfer-Encoding\t: chunked"), 400, SuspiciousHeader, "RFC 9112 5.1, CVE-2019-16276"},
		{"space before another colon", get("X : 5"), 400, BadHeader, "RFC 9112 5.1, CVE-2019-16276"},
		{"underscore", get("Content_Length: 5"), 400, SuspiciousHeader, "CVE-2026-39858, of framing"},
		{"dot", get("Transfer.Encoding: chunked"), 400, SuspiciousHeader, "GHSA-7r4p-vjf4-gxv4, of framing"},
		{"empty name", get(": 5"), 400, EmptyHeader, "CVE-2023-25725"},
		{"empty name, then the framing", get(":", "Content-Length: 5"), 400, EmptyHeader, "CVE-2023-25725"},
		{"NUL in a name", get("Content-Length\x00: 5"), 400, BadHeader, "RFC 9110 5.1"},
		{"CR in a name", get("Content-Length\r: 5"), 400, BadHeader, "RFC 9112 2.2"},
		{"obs-text in a name", get("Content-Length\xa0: 5"), 400, NonCompliantHeader, "RFC 9110 5.1"},
		{"parenthesis in a name", get("X(: 5"), 400, NonCompliantHeader, "RFC 9110 5.1"},
		{"no colon", get("Content-Length 5"), 400, SuspiciousHeader, "RFC 9112 5"},
		{"no colon, no value", get("Nothing"), 400, BadHeader, "RFC 9112 5"},
		// Line ends.
		{"bare LF behind the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400, BadHeader, "RFC 9112 2.2"},
		{"bare LF behind a field", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400, BadHeader, "RFC 9112 2.2, CVE-2025-22871"},
		{"bare LF as empty line", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400, BadHeader, "RFC 9112 2.2"},
		{"LF CR", "GET / HTTP/1.1\r\nHost: h\n\r\n", 400, BadHeader, "RFC 9112 2.2"},
		{"bare CR in a value", get("X: a\rContent-Length: 5"), 400, BadHeader, "RFC 9112 2.2"},
		{"bare CR before CRLF", get("X: a\r"), 400, BadHeader, "RFC 9112 2.2"},
		{"bare CR as a line", "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n\r\n", 400, BadHeader, "RFC 9112 2.2"},
		{"NUL in a value", get("X: a\x00b"), 400, BadHeader, "RFC 9110 5.5"},
		{"DEL in a value", get("X: a\x7fb"), 400, NonCompliantHeader, "RFC 9110 5.5"},
		{"backspace in a long value", get("X: 0123456789012345678901234567890123456789\x08"), 400, NonCompliantHeader, "RFC 9110 5.5"},
		// Lines that go on.
		{"folded value", get("X: a", " b"), 400, BadHeader, "RFC 9112 5.2"},
		{"folded with a tab", get("X: a", "\tb"), 400, BadHeader, "RFC 9112 5.2"},
		{"folded name", get("Transfer-Encoding:", " chunked"), 400, BadHeader, "RFC 9112 5.2"},
		{"white space before the first field", lines("GET / HTTP/1.1", " Host: a", "Host: b"), 400, BadHeader, "RFC 9112 2.2"},
		{"line of white space", get(" "), 400, BadHeader, "RFC 9112 5.2"},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.in, tt.status, tt.kind, tt.source) })
	}
}

// TestSmugglingLengthOverflow is CVE-2021-40346: a name of 270 octets whose
// length HAProxy kept in eight bits.
func TestSmugglingLengthOverflow(t *testing.T) {
	name := "Content-Length0"
	for len(name) < 270 {
		name += "a"
	}
	r, _, e := parseBoth(t, []byte(get(name+":", "Content-Length: 60")), Limits{})
	if e != nil {
		t.Fatal(e)
	}
	if r.ContentLength != 60 || len(r.Fields) != 3 || r.Fields[1].Kind != Other || string(r.Fields[1].Name) != name {
		t.Errorf("length %d, fields %v", r.ContentLength, r.Fields)
	}
}

// TestErrorsHideSecrets: a reason goes to the log, a credential must not.
func TestErrorsHideSecrets(t *testing.T) {
	for _, in := range []string{
		get("Authorization: Bearer s3cret\x00"),
		get("Authorization : Bearer s3cret"),
		get("Cookie: a=s3cret\x7f"),
		get("Authorization: a", " Bearer s3cret"),
		"GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer s3cret\n\r\n",
	} {
		_, _, e := parseBoth(t, []byte(in), Limits{})
		if e == nil {
			t.Fatalf("accepted: %q", in)
		}
		for i := range len(e.Reason) - 5 {
			if e.Reason[i:i+6] == "s3cret" {
				t.Errorf("the reason shows the credential: %s", e.Reason)
			}
		}
	}
}
