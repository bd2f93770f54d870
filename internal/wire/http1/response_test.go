package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// ok is a response with status 200 and the field lines l.
func ok(l ...string) string { return lines(append([]string{"HTTP/1.1 200 OK"}, l...)...) }

// parseResponseBoth is parseBoth for responses.
func parseResponseBoth(t rapid.TB, b []byte, lim Limits, method string) (*Response, int, *Error) {
	t.Helper()
	var whole Response
	n, err := whole.Parse(b, lim, []byte(method))
	var bytewise Response
	copies := [2][]byte{bytes.Clone(b), bytes.Clone(b)}
	for i := range len(b) + 1 {
		m, stepErr := bytewise.Parse(copies[i%2][:i:i], lim, []byte(method))
		if stepErr == ErrIncomplete && i < len(b) {
			// Asking again without more changes nothing.
			if _, err := bytewise.Parse(copies[i%2][:i:i], lim, []byte(method)); err != ErrIncomplete {
				t.Fatalf("asked twice after %d octets: %v", i, err)
			}
			continue
		}
		if got, want := describeResponse(&bytewise, m, stepErr), describeResponse(&whole, n, err); got != want {
			t.Fatalf("octet by octet, after %d of %d octets:\n%s\nwhole:\n%s", i, len(b), got, want)
		}
		break
	}
	var e *Error
	if err != nil && !errors.As(err, &e) && err != ErrIncomplete {
		t.Fatalf("error %T, want *Error", err)
	}
	if e != nil && (e.Reason == "" || e.Kind == "" || len(e.Reason) > 600 || e.Status != 502) {
		t.Errorf("error %#v, want 502, a kind and a reason of less than 600 octets", e)
	}
	return &whole, n, e
}

func describeResponse(r *Response, n int, err error) string {
	var e *Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%d %s", e.Status, e.Kind)
	}
	if err != nil {
		return err.Error()
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d %d %d %q\n", n, r.Minor, r.Status, r.Reason)
	fmt.Fprintf(&s, "%v %d %v %v %v %q\n", r.Body, r.ContentLength, r.HasContentLength, r.HasTE, r.KeepAlive, r.UpgradeTo)
	for i := range r.Fields {
		f := &r.Fields[i]
		fmt.Fprintf(&s, "%q %q %v %v\n", f.Name, f.Value, f.Kind, r.Hop(f))
	}
	return s.String()
}

func TestResponseAccepted(t *testing.T) {
	for _, tt := range []struct {
		name, in, method string
		want             Response
		clause           string
	}{
		{"length", ok("Content-Length: 5"), "GET",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), Body: Length, ContentLength: 5, HasContentLength: true, KeepAlive: true}, "RFC 9112 6.3 item 6"},
		{"length 0", ok("Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), HasContentLength: true, KeepAlive: true}, "RFC 9112 6.3 item 6"},
		{"chunked", ok("Transfer-Encoding: chunked"), "GET",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), Body: Chunked, ContentLength: -1, HasTE: true, KeepAlive: true}, "RFC 9112 6.3 item 4"},
		{"until close", ok(), "GET",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), Body: UntilClose, ContentLength: -1}, "RFC 9112 6.3 item 8"},
		{"until close, whatever Connection says", ok("Connection: keep-alive"), "POST",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), Body: UntilClose, ContentLength: -1}, "RFC 9112 9.3"},
		{"HTTP/1.0", lines("HTTP/1.0 200 OK", "Content-Length: 5"), "GET",
			Response{Status: 200, Reason: []byte("OK"), Body: Length, ContentLength: 5, HasContentLength: true}, "RFC 9112 9.3"},
		{"HTTP/1.0 kept alive", lines("HTTP/1.0 200 OK", "Content-Length: 5", "Connection: keep-alive"), "GET",
			Response{Status: 200, Reason: []byte("OK"), Body: Length, ContentLength: 5, HasContentLength: true, KeepAlive: true}, "RFC 9112 9.3"},
		{"close", ok("Content-Length: 5", "Connection: close"), "GET",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), Body: Length, ContentLength: 5, HasContentLength: true}, "RFC 9112 9.3"},
		{"HEAD with length", ok("Content-Length: 5"), "HEAD",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), ContentLength: 5, HasContentLength: true, KeepAlive: true}, "RFC 9112 6.3 item 1"},
		{"HEAD, chunked", ok("Transfer-Encoding: chunked"), "HEAD",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), HasTE: true, KeepAlive: true}, "RFC 9112 6.3 item 1"},
		{"HEAD with nothing", ok(), "HEAD",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), KeepAlive: true}, "RFC 9112 6.3 item 1"},
		{"head in small letters is another method", ok("Content-Length: 5"), "head",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), Body: Length, ContentLength: 5, HasContentLength: true, KeepAlive: true}, "RFC 9110 9.1"},
		{"204", lines("HTTP/1.1 204 No Content"), "GET",
			Response{Minor: 1, Status: 204, Reason: []byte("No Content"), KeepAlive: true}, "RFC 9112 6.3 item 1"},
		{"204 with length 0", lines("HTTP/1.1 204 No Content", "Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 204, Reason: []byte("No Content"), HasContentLength: true, KeepAlive: true}, "RFC 9110 8.6"},
		{"204 that announces chunks", lines("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked"), "GET",
			Response{Minor: 1, Status: 204, Reason: []byte("No Content"), HasTE: true}, "RFC 9112 6.1"},
		{"204 that announces content", lines("HTTP/1.1 204 No Content", "Content-Length: 9"), "GET",
			Response{Minor: 1, Status: 204, Reason: []byte("No Content"), ContentLength: 9, HasContentLength: true}, "RFC 9110 8.6"},
		{"304", lines("HTTP/1.1 304 Not Modified", "Content-Length: 9"), "GET",
			Response{Minor: 1, Status: 304, Reason: []byte("Not Modified"), ContentLength: 9, HasContentLength: true, KeepAlive: true}, "RFC 9112 6.3 item 1"},
		{"100", lines("HTTP/1.1 100 Continue"), "POST",
			Response{Minor: 1, Status: 100, Reason: []byte("Continue"), KeepAlive: true}, "RFC 9112 6.3 item 1"},
		{"103", lines("HTTP/1.1 103 Early Hints", "Link: </a>"), "GET",
			Response{Minor: 1, Status: 103, Reason: []byte("Early Hints"), KeepAlive: true}, "RFC 8297"},
		{"101", lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 101, Reason: []byte("Switching Protocols"), HasContentLength: true, KeepAlive: true, UpgradeTo: []byte("websocket")}, "RFC 9110 7.8"},
		{"CONNECT", ok("Transfer-Encoding: chunked"), "CONNECT",
			Response{Minor: 1, Status: 200, Reason: []byte("OK"), HasTE: true, KeepAlive: true}, "RFC 9112 6.3 item 2"},
		{"CONNECT refused", lines("HTTP/1.1 403 Forbidden", "Content-Length: 1"), "CONNECT",
			Response{Minor: 1, Status: 403, Reason: []byte("Forbidden"), Body: Length, ContentLength: 1, HasContentLength: true, KeepAlive: true}, "RFC 9112 6.3 item 2"},
		{"empty reason", lines("HTTP/1.1 200 ", "Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 200, HasContentLength: true, KeepAlive: true}, "RFC 9112 4"},
		{"no reason and no space", lines("HTTP/1.1 200", "Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 200, HasContentLength: true, KeepAlive: true}, "RFC 9112 4, laxer"},
		{"reason with obs-text, spaces and tabs", lines("HTTP/1.1 200 tr\xe8s  bien\t", "Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 200, Reason: []byte("tr\xe8s  bien\t"), HasContentLength: true, KeepAlive: true}, "RFC 9112 4"},
		{"status outside the five classes", lines("HTTP/1.1 999 Denied", "Content-Length: 0"), "GET",
			Response{Minor: 1, Status: 999, Reason: []byte("Denied"), HasContentLength: true, KeepAlive: true}, "RFC 9110 15"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, n, e := parseResponseBoth(t, []byte(tt.in), Limits{}, tt.method)
			if e != nil {
				t.Fatalf("refused: %v (%s)", e, tt.clause)
			}
			want := tt.want
			want.Fields, want.msg = r.Fields, r.msg
			if got, want := describeResponse(r, n, nil), describeResponse(&want, len(tt.in), nil); got != want {
				t.Errorf("%s: got\n%swant\n%s", tt.clause, got, want)
			}
			if _, m, e := parseResponseBoth(t, []byte(tt.in+"\n\x00"), Limits{}, tt.method); e != nil || m != n {
				t.Errorf("with octets behind: %d, %v", m, e)
			}
			for i := range len(tt.in) {
				if _, err := new(Response).Parse([]byte(tt.in[:i]), Limits{}, nil); err != ErrIncomplete {
					t.Fatalf("cut after %d octets: %v, want it incomplete", i, err)
				}
			}
		})
	}
}

func TestResponseRefused(t *testing.T) {
	for _, tt := range []struct{ name, in, kind, clause string }{
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", BadVersion, "RFC 9112 4"},
		{"CRLF before it", "\r\n" + ok(), BadVersion, "RFC 9112 2.2 is for servers"},
		{"HTTP/2", lines("HTTP/2 200"), BadVersion, "RFC 9112 2.3"},
		{"HTTP/1.2", lines("HTTP/1.2 200 OK"), NonCompliantVersion, "RFC 9110 6.2"},
		{"small letters", lines("Http/1.1 200 OK"), BadVersion, "RFC 9112 2.3"},
		{"version alone", lines("HTTP/1.1"), BadStatus, "RFC 9112 4"},
		{"two digits", lines("HTTP/1.1 20 OK"), BadStatus, "RFC 9112 4"},
		{"two digits alone", lines("HTTP/1.1 20"), BadStatus, "RFC 9112 4"},
		{"four digits", lines("HTTP/1.1 2000 OK"), BadStatus, "RFC 9112 4"},
		{"sign", lines("HTTP/1.1 +20 OK"), BadStatus, "RFC 9112 4"},
		{"below 100", lines("HTTP/1.1 099 OK"), BadStatus, "RFC 9110 15"},
		{"two spaces", lines("HTTP/1.1  200 OK"), BadStatus, "RFC 9112 4"},
		{"tab", lines("HTTP/1.1\t200 OK"), BadStatus, "RFC 9112 4"},
		{"CR in the reason", lines("HTTP/1.1 200 O\rK"), BadStatus, "RFC 9112 2.2"},
		{"NUL in the reason", lines("HTTP/1.1 200 O\x00K"), BadStatus, "RFC 9112 4"},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n", BadHeader, "RFC 9112 2.2"},
		{"bare LF behind a field", "HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n", BadHeader, "RFC 9112 2.2"},
		{"fold", ok("X: a", " b"), BadHeader, "RFC 9112 5.2"},
		{"space before the colon", ok("X : a"), BadHeader, "RFC 9112 5.1"},
		{"empty name", ok(": a"), EmptyHeader, "RFC 9112 5"},
		{"CL and TE", ok("Content-Length: 5", "Transfer-Encoding: chunked"), BothTeClPresent, "RFC 9112 6.3"},
		{"two identical lengths", ok("Content-Length: 5", "Content-Length: 5"), DuplicateContentLength, "RFC 9112 6.3, stricter"},
		{"two lengths", ok("Content-Length: 5", "Content-Length: 6"), MultipleContentLength, "RFC 9112 6.3"},
		{"list of lengths", ok("Content-Length: 5, 5"), BadContentLength, "RFC 9112 6.3, stricter"},
		{"other coding", ok("Transfer-Encoding: gzip, chunked"), BadTransferEncoding, "RFC 9112 6.1"},
		{"TE in HTTP/1.0", lines("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"), BadTransferEncoding, "RFC 9112 6.1"},
		{"100 with chunks", lines("HTTP/1.1 100 Continue", "Transfer-Encoding: chunked"), BadStatus, "RFC 9112 6.1"},
		{"103 with content", lines("HTTP/1.1 103 Early Hints", "Content-Length: 5"), BadStatus, "RFC 9110 8.6"},
		{"101 with content", lines("HTTP/1.1 101 Switching Protocols", "Content-Length: 5"), BadStatus, "RFC 9110 8.6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, e := parseResponseBoth(t, []byte(tt.in), Limits{}, "GET")
			if e == nil {
				t.Fatalf("accepted, or incomplete; want %s (%s)", tt.kind, tt.clause)
			}
			if e.Kind != tt.kind {
				t.Errorf("got %s (%s), want %s (%s)", e.Kind, e.Reason, tt.kind, tt.clause)
			}
		})
	}
}

func TestResponseLimits(t *testing.T) {
	lim := Limits{Line: 20, Field: 20, Head: 64, Count: 2}
	for _, in := range []string{
		lines("HTTP/1.1 200 OKOKOKOKOK"),
		ok("X: 0123456789012345678"),
		ok("X: 01234567890123456", "Y: 01234567890123456", "Z: 01234567890123456"),
		ok("X:", "Y:", "Z:"),
	} {
		if _, _, e := parseResponseBoth(t, []byte(in), lim, "GET"); e == nil || e.Kind != TooLarge {
			t.Errorf("%q: %v, want it too large", in, e)
		}
	}
	if _, _, e := parseResponseBoth(t, []byte(ok("X: 01234567890123456", "Y:")), lim, "GET"); e != nil {
		t.Error(e)
	}
}

func TestResponseHop(t *testing.T) {
	var r Response
	if _, err := r.Parse([]byte(ok("Connection: X-Inner, Set-Cookie", "x-inner: 1", "Proxy-Authenticate: Basic", "Content-Length: 0")), Limits{}, nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, true, false} {
		if f := &r.Fields[i]; r.Hop(f) != want {
			t.Errorf("Hop(%s) = %v, want %v", f.Name, !want, want)
		}
	}
	if _, err := r.Parse([]byte("HTTP/1.1 "), Limits{}, nil); err != ErrIncomplete {
		t.Fatal(err)
	}
	r.Reset()
	if _, err := r.Parse([]byte(ok("X-Inner: 1")), Limits{}, nil); err != nil || r.Hop(&r.Fields[0]) {
		t.Errorf("after Reset: %v, X-Inner dropped: %v", err, r.Hop(&r.Fields[0]))
	}
}
