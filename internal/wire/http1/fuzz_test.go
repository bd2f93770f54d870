package http1

import (
	"bytes"
	"fmt"
	"testing"
)

// seeds are heads that fuzzing starts from.
func seeds() []string {
	return []string{
		typicalRequest,
		get("Content-Length: 5") + "hello",
		get("Content-Length: 0007", "Pragma: no-cache", "Trailer: X"),
		lines("POST /a?b HTTP/1.1", "Host: [::1]:80", "Transfer-Encoding: chunked", "Expect: 100-continue") + "5\r\nhello\r\n" + LastChunk,
		lines("GET http://h.example:8080/?%41 HTTP/1.1", "Host: H.example:8080", "Connection: close, x"),
		lines("OPTIONS * HTTP/1.0", "Connection: keep-alive"),
		lines("OPTIONS http://h HTTP/1.1", "Host: h"),
		lines("CONNECT h:443 HTTP/1.1", "Host: h:443"),
		get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
		get("Content-Length: 5", "Transfer-Encoding: chunked"),
		get("Content-Length: 5", "Content-Length: 5"),
		get("X : a"), get(": a"), get("X: a", " b"), get("X: a\rb"), get("X: \x00"),
		"\r\n" + get("X: caf\xe9"),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET //a/b?c#d HTTP/1.1\nHost: h\n\n",
	}
}

func responseSeeds() []string {
	return []string{
		typicalResponse,
		ok("Content-Length: 5") + "hello",
		ok("Transfer-Encoding: chunked", "Trailer: X") + "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
		lines("HTTP/1.0 404", "Connection: keep-alive, X", "X: 1"),
		lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"),
		lines("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked"),
		lines("HTTP/1.1 304 Not Modified", "Content-Length: 12"),
		lines("HTTP/1.1 100 Continue") + ok(),
		lines("HTTP/1.1 999 tr\xe8s\tbien"),
		ok("Content-Length: 5", "Transfer-Encoding: chunked"), ok("X: a", " b"), ok("X : a"),
		"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
	}
}

// FuzzRequest: no panic, one way to read a head however it arrives, what is
// accepted means the same when it is written again, and net/http agrees.
func FuzzRequest(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4<<10 {
			return
		}
		lim := Limits{Line: 1000, Field: 500, Head: 2000, Count: 40}
		r, n, e := parseBoth(t, b, lim)
		if e != nil || n == 0 {
			return
		}
		if n > lim.Head+2 {
			t.Fatalf("a head of %d octets", n)
		}
		again := writeRequest(r)
		second, m, e := parseBoth(t, again, Limits{})
		if e != nil || m != len(again) {
			t.Fatalf("%q was accepted, written again as %q it is not: %v", b[:n], again, e)
		}
		if got, want := describe(second, 0, nil), describe(r, 0, nil); got != want {
			t.Fatalf("%q, written again as %q:\n%s\nwas:\n%s", b[:n], again, got, want)
		}
		agreeOnRequest(t, b, r, n)
	})
}

func writeRequest(r *Request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.%d\r\n", r.Method, r.Target, r.Minor)
	writeFields(&b, r.Fields)
	return b.Bytes()
}

func writeFields(b *bytes.Buffer, fields []Field) {
	for _, f := range fields {
		fmt.Fprintf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
}

// FuzzResponse is FuzzRequest for responses.
func FuzzResponse(f *testing.F) {
	for _, s := range responseSeeds() {
		f.Add([]byte(s), "GET")
		f.Add([]byte(s), "HEAD")
		f.Add([]byte(s), "CONNECT")
	}
	f.Fuzz(func(t *testing.T, b []byte, method string) {
		if len(b) > 4<<10 {
			return
		}
		lim := Limits{Line: 1000, Field: 500, Head: 2000, Count: 40}
		r, n, e := parseResponseBoth(t, b, lim, method)
		if e != nil || n == 0 {
			return
		}
		var again bytes.Buffer
		fmt.Fprintf(&again, "HTTP/1.%d %d %s\r\n", r.Minor, r.Status, r.Reason)
		writeFields(&again, r.Fields)
		second, m, e := parseResponseBoth(t, again.Bytes(), Limits{}, method)
		if e != nil || m != again.Len() {
			t.Fatalf("%q was accepted, written again as %q it is not: %v", b[:n], &again, e)
		}
		if got, want := describeResponse(second, 0, nil), describeResponse(r, 0, nil); got != want {
			t.Fatalf("%q, written again as %q:\n%s\nwas:\n%s", b[:n], &again, got, want)
		}
		agreeOnResponse(t, b, r, n, method)
	})
}

// FuzzChunked: no panic, the same data however it arrives, and net/http decodes
// what is accepted to the same.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{
		LastChunk, "5\r\nhello\r\n0\r\n\r\n", "5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\nContent-Length: 5\r\n\r\nGET /",
		"0000a ; b\r\n0123456789\r\n000\r\n: y\r\n\r\n", "5\nhello\n0\n\n", "ffffffffffffffff\r\n", "1\r\nx\r\n1\r\ny\r\n0\r\n\r\n",
		"A ;\r\n0000000000\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4<<10 {
			return
		}
		d := decodeBoth(t, b, Limits{Field: 100, Head: 500, Count: 10})
		if !d.done {
			return
		}
		// Written again it is the same.
		var again []byte
		if len(d.data) > 0 {
			again = append(AppendChunkHeader(nil, len(d.data)), d.data+ChunkEnd...)
		}
		again = append(again, LastChunk...)
		if e := decodeBoth(t, again, Limits{}); !e.done || e.data != d.data {
			t.Fatalf("%q, written again as %q: %+v", b, again, e)
		}
		agreeOnChunks(t, b, d)
	})
}
