package http_test

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign.dev"
)

// RFC 9457 section 3, RFC 9110 section 12.5.1: programs get a problem document,
// people a line of text.
func TestWhoGetsAProblemDocument(t *testing.T) {
	const problem, text = "application/problem+json", "text/plain; charset=utf-8"
	for _, tt := range []struct{ accept, want string }{
		{"", problem}, // anything goes, and there is no browser that says nothing
		{"Accept: */*", problem},
		{"Accept: application/problem+json", problem},
		{"Accept: application/json", problem},
		{"Accept: APPLICATION/JSON;q=0.1, text/html", problem},
		{"Accept: application/*", problem},
		{"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", text},
		{"Accept: text/plain", text},
		{"Accept: image/png", text},
		{"Accept: application/jsonp", text},
		{"Accept: application/json;q=0, text/plain", text},
		{"Accept: application/json; q=0.000", text},
		{"Accept: application/problem+json;q=0.001", problem},
		{"Accept: text/html\r\nAccept: */*", text},
		{"Accept: text/html\r\nAccept: application/json", problem},
	} {
		t.Run(tt.accept, func(t *testing.T) {
			c := start(t, nil).dial()
			request := []string{"GET / HTTP/1.1", "Host: h"}
			if tt.accept != "" {
				request = append(request, tt.accept)
			}
			resp, body := c.exchange(lines(request...))
			if got := resp.Header.Get("Content-Type"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Date") == "" {
				t.Errorf("%v", resp.Header)
			}
			if tt.want == text {
				if !strings.Contains(body, "("+string(countersign.NoHealthyTarget)+")") {
					t.Errorf("%q does not name the code", body)
				}
				return
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			if got["status"] != 503.0 || got["code"] != "NoHealthyTarget" || got["type"] != "urn:countersign:denial:NoHealthyTarget" || got["title"] == "" || len(got) != 4 {
				t.Errorf("%v", got)
			}
		})
	}
}

// RFC 9110 section 9.3.2: a refusal of HEAD has a length and no body, also when
// the body of the request came in several pieces with the next request behind.
func TestARefusalOfHEADHasNoBody(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		c := start(t, nil).dial()
		c.write(lines("HEAD / HTTP/1.1", "Host: h") + get)
		if resp, _ := c.read("HEAD"); resp.StatusCode != 503 || resp.ContentLength < 10 {
			t.Errorf("%s, Content-Length %d", resp.Status, resp.ContentLength)
		}
		c.read("GET")
		c.ended()
	})
	t.Run("with a body", func(t *testing.T) {
		address, _ := recorder(t, "")
		b := start(t, []string{address})
		c := b.dial()
		c.write(lines("HEAD / HTTP/1.1", "Host: h", "Content-Length: 20000"))
		c.write(strings.Repeat("x", 20000) + get)
		if resp, _ := c.read("HEAD"); resp.StatusCode != 502 {
			t.Errorf("%s", resp.Status)
		}
		c.read("GET")
		c.ended()
	})
}

// A refusal that does not concern the connection leaves it as it is; the
// requests before and behind are answered in order.
func TestARefusalInTheMiddleOfAPipeline(t *testing.T) {
	address, _ := recorder(t, ok, "", ok)
	c := start(t, []string{address}).dial()
	c.write(lines("GET /1 HTTP/1.1", "Host: h") + lines("POST /2 HTTP/1.1", "Host: h") + lines("GET /3 HTTP/1.1", "Host: h") +
		lines("GET /4 HTTP/1.1", "Host: h", "X : y") + get)
	for i, want := range []int{200, 502, 200, 400} {
		if resp, _ := c.read("GET"); resp.StatusCode != want || resp.Close != (want == 400) {
			t.Errorf("answer %d: %s, close: %t; want %d", i+1, resp.Status, resp.Close, want)
		}
	}
	c.ended()
}

// A client of HTTP/1.0 is told what it needs (RFC 9112 section 9.3).
func TestARefusalToHTTP10(t *testing.T) {
	c := start(t, nil).dial()
	c.write(lines("GET / HTTP/1.0", "Connection: keep-alive"))
	if head := c.head(); !strings.Contains(head, "\r\nConnection: keep-alive\r\n") {
		t.Errorf("%q", head)
	}
	if answer := start(t, nil).send(lines("GET / HTTP/1.0")); !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("%q", answer)
	}
}
