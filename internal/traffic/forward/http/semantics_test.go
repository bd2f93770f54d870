package http_test

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

// RFC 9110 sections 9.3.2, 15.2, 15.3.5, 15.4.5 and 8.6: answers without a body,
// as the client gets them; behind each comes the answer to another request.
func TestAnswersWithoutABody(t *testing.T) {
	const date = "Date: Sun, 22 Nov 2026 03:00:00 GMT"
	for _, tt := range []struct{ name, request, answer, want string }{
		{"HEAD with Content-Length", lines("HEAD / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 200 OK", date, "Content-Length: 12345"), lines("HTTP/1.1 200 OK", date, "Content-Length: 12345")},
		{"HEAD with chunked", lines("HEAD / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 200 OK", date, "Transfer-Encoding: chunked"), lines("HTTP/1.1 200 OK", date)},
		{"HEAD with nothing", lines("HEAD / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 404 Not Found", date), lines("HTTP/1.1 404 Not Found", date)},
		{"204", lines("DELETE / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 204 No Content", date), lines("HTTP/1.1 204 No Content", date)},
		{"204 with Content-Length", lines("DELETE / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 204 No Content", date, "Content-Length: 0"), lines("HTTP/1.1 204 No Content", date)},
		{"304 with Content-Length", lines("GET / HTTP/1.1", "Host: h", "If-None-Match: x"),
			lines("HTTP/1.1 304 Not Modified", date, "Content-Length: 77", "ETag: x"), lines("HTTP/1.1 304 Not Modified", date, "Content-Length: 77", "ETag: x")},
		{"103", lines("GET / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 103 Early Hints", "Link: </a>") + lines("HTTP/1.1 204 No Content", date),
			lines("HTTP/1.1 103 Early Hints", "Link: </a>") + lines("HTTP/1.1 204 No Content", date)},
		{"several interim answers", lines("GET / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 102 Processing") + lines("HTTP/1.1 102 Processing") + lines("HTTP/1.1 199 X", "Connection: close") + lines("HTTP/1.1 204 No Content", date),
			lines("HTTP/1.1 102 Processing") + lines("HTTP/1.1 102 Processing") + lines("HTTP/1.1 199 X") + lines("HTTP/1.1 204 No Content", date)},
		{"103 to 1.0", lines("GET / HTTP/1.0", "Connection: keep-alive"),
			lines("HTTP/1.1 103 Early Hints", "Link: </a>") + lines("HTTP/1.1 204 No Content", date),
			lines("HTTP/1.1 204 No Content", date, "Connection: keep-alive")},
		{"an unknown status without a reason", lines("GET / HTTP/1.1", "Host: h"),
			lines("HTTP/1.1 799 ", date, "Content-Length: 0"), lines("HTTP/1.1 799 ", date, "Content-Length: 0")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, tt.answer, ok)
			c := start(t, []string{address}).dial()
			c.write(tt.request)
			c.expect(tt.want)
			c.write(get)
			if _, body := c.read("GET"); body != "ok" {
				t.Errorf("the second answer is %q", body)
			}
			c.ended()
			if len(got) != 2 {
				t.Errorf("%d requests, want 2", len(got))
			}
		})
	}
}

// RFC 9110 section 6.6.1: a recipient with a clock that gets a response without
// Date adds one.
func TestDateIsAddedWhereItIsMissing(t *testing.T) {
	address, _ := recorder(t, lines("HTTP/1.1 200 OK", "Content-Length: 0"))
	c := start(t, []string{address}).dial()
	c.write(get)
	dates := regexp.MustCompile(`\r\nDate: ((Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)\r\n`)
	if head := c.head(); !dates.MatchString(head) {
		t.Errorf("%q", head)
	}
}

// RFC 9440 section 2.4 (T24): a field that a gateway sets cannot be the key of a
// cache in front of the gateway.
func TestVaryByAnIdentityFieldIsVaryByEverything(t *testing.T) {
	for vary, want := range map[string]string{
		"Accept":                         "Accept",
		"Client-Cert":                    "*",
		"accept, client_cert":            "*",
		"X-Amzn-Mtls-Clientcert-Subject": "*",
		"X-Forwarded-Proto":              "X-Forwarded-Proto",
	} {
		address, _ := recorder(t, lines("HTTP/1.1 200 OK", "Vary: "+vary, "Content-Length: 0"))
		resp, _ := start(t, []string{address}).dial().exchange(get)
		if got := resp.Header.Get("Vary"); got != want {
			t.Errorf("Vary: %s became %q, want %q", vary, got, want)
		}
	}
}

// RFC 9110 section 7.6.1: fields of the target's connection end here.
func TestHopByHopFieldsOfAResponseEndHere(t *testing.T) {
	address, _ := recorder(t, lines("HTTP/1.1 200 OK", "Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: timeout=5",
		"Proxy-Authenticate: Basic", "Upgrade: h2c", "TE: x", "X-End: 1", "Content-Length: 0"))
	c := start(t, []string{address}).dial()
	c.write(get)
	head := c.head()
	for _, gone := range []string{"X-Hop", "Keep-Alive", "Proxy-Authenticate", "Upgrade", "TE:"} {
		if strings.Contains(head, gone) {
			t.Errorf("%s came through: %q", gone, head)
		}
	}
	if !strings.Contains(head, "X-End: 1\r\n") {
		t.Errorf("X-End is missing: %q", head)
	}
}

// RFC 9110 section 10.1.1. The client waits for 100 before it sends its body.
func TestExpectContinue(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n"
	t.Run("the target says go on", func(t *testing.T) {
		heads := make(chan string, 1)
		b := start(t, []string{target(t, func(conn net.Conn) {
			r := bufio.NewReader(conn)
			head, _ := readHead(r)
			heads <- head
			io.WriteString(conn, lines("HTTP/1.1 100 Continue"))
			body := make([]byte, 3)
			io.ReadFull(r, body)
			io.WriteString(conn, lines("HTTP/1.1 200 OK", "Content-Length: 3")+string(body))
		})})
		c := b.dial()
		c.write(head)
		c.expect("HTTP/1.1 100 Continue\r\n\r\n")
		c.write("abc")
		if resp, body := c.read("POST"); body != "abc" || resp.Close {
			t.Errorf("%q, close %t", body, resp.Close)
		}
		if got := <-heads; !strings.Contains(got, "\r\nExpect: 100-Continue\r\n") {
			t.Errorf("the target was not asked: %q", got)
		}
	})
	t.Run("the target answers at once", func(t *testing.T) {
		b := start(t, []string{target(t, func(conn net.Conn) {
			readHead(bufio.NewReader(conn))
			io.WriteString(conn, lines("HTTP/1.1 401 Unauthorized", "Content-Length: 2")+"no")
			io.Copy(io.Discard, conn)
		})})
		c := b.dial()
		c.write(head)
		if resp, body := c.read("POST"); resp.StatusCode != 401 || body != "no" || !resp.Close {
			t.Errorf("%s %q, close %t", resp.Status, body, resp.Close)
		}
		c.ended()
		if res := b.result(); res.Denial != nil || !res.Unread {
			t.Errorf("%+v", res)
		}
	})
	t.Run("the body is there already", func(t *testing.T) {
		address, got := recorder(t, lines("HTTP/1.1 100 Continue")+ok)
		c := start(t, []string{address}).dial()
		c.write(head + "abc" + get)
		c.expect("HTTP/1.1 100 Continue\r\n\r\n" + ok)
		if h := <-got; h.body != "abc" {
			t.Errorf("body %q", h.body)
		}
		c.read("GET") // 100 again, then the answer: both are the target's
	})
	t.Run("the target says nothing until the body comes", func(t *testing.T) {
		address, _ := recorder(t, ok)
		c := start(t, []string{address}).dial()
		c.write(head)
		c.write("abc") // RFC 9110: a client does not wait for ever
		c.expect(ok)
	})
	for name, request := range map[string]string{
		"from 1.0 it is ignored":       "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
		"without a body it is ignored": "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			address, got := recorder(t, ok)
			start(t, []string{address}).send(request)
			if h := <-got; strings.Contains(h.head, "Expect") {
				t.Errorf("passed on: %q", h.head)
			}
		})
	}
	t.Run("another expectation", func(t *testing.T) {
		address, got := recorder(t, ok)
		b := start(t, []string{address})
		answer := b.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\nContent-Length: 3\r\n\r\nabc")
		if !strings.HasPrefix(answer, "HTTP/1.1 417 ") {
			t.Errorf("%q", answer)
		}
		none(t, got, "the target got a request")
	})
}
