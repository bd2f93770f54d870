package http_test

import (
	"net/netip"
	"strings"
	"testing"

	"countersign.dev/internal/traffic/forward/http"
)

// passed sends a request with these fields and returns what the target got.
func passed(t *testing.T, b *bench, got <-chan heard, fields ...string) heard {
	t.Helper()
	if answer := b.send(lines(append([]string{"GET /a%20b?q=1&r HTTP/1.1", "Host: h:8443", "Connection: close"}, fields...)...)); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Fatalf("%q", answer)
	}
	return receive(t, got, "the request")
}

// X-Forwarded-*: what is appended, preserved, removed. An alias that a target
// may take for the name itself never passes.
func TestForwardedFields(t *testing.T) {
	const v4, v6 = "192.0.2.7:4711", "[2001:db8::7]:4711"
	aliases := []string{"X_Forwarded_For: 6.6.6.6", "x.forwarded.for: 6.6.6.6", "X-Forwarded_Proto: http", "X_FORWARDED_PORT: 1", "X-forwarded~for: 6.6.6.6"}
	for _, tt := range []struct {
		name             string
		mode             http.Forwarded
		client           string
		fields           []string
		addresses, proto []string
		port             []string
	}{
		{"append to nothing", http.ForwardedAppend, v4, nil, []string{"192.0.2.7"}, []string{"https"}, []string{"8443"}},
		{"append to one", http.ForwardedAppend, v4, []string{"X-Forwarded-For: 10.0.0.1"},
			[]string{"10.0.0.1, 192.0.2.7"}, []string{"https"}, []string{"8443"}},
		{"append to several lines", http.ForwardedAppend, v4, []string{"X-Forwarded-For: 10.0.0.1, 10.0.0.2", "X: y", "x-forwarded-for: 10.0.0.3", "X-Forwarded-For:"},
			[]string{"10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7"}, []string{"https"}, []string{"8443"}},
		{"append replaces proto and port", http.ForwardedAppend, v4, []string{"X-Forwarded-Proto: http", "X-Forwarded-Port: 80", "X-FORWARDED-PROTO: ftp"},
			[]string{"192.0.2.7"}, []string{"https"}, []string{"8443"}},
		{"append an IPv6 address", http.ForwardedAppend, v6, []string{"X-Forwarded-For: 10.0.0.1"},
			[]string{"10.0.0.1, 2001:db8::7"}, []string{"https"}, []string{"8443"}},
		{"append whatever Connection names", http.ForwardedAppend, v4, []string{"Connection: X-Forwarded-For, X-Forwarded-Proto", "X-Forwarded-For: 10.0.0.1"},
			[]string{"10.0.0.1, 192.0.2.7"}, []string{"https"}, []string{"8443"}},
		{"preserve", http.ForwardedPreserve, v4, []string{"X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.2", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80"},
			[]string{"10.0.0.1", "10.0.0.2"}, []string{"http"}, []string{"80"}},
		{"preserve nothing", http.ForwardedPreserve, v4, nil, nil, nil, nil},
		{"remove", http.ForwardedRemove, v4, []string{"X-Forwarded-For: 10.0.0.1", "x-forwarded-for: 10.0.0.2", "X-Forwarded-Proto: http", "X-Forwarded-Port: 80"}, nil, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			b := start(t, []string{address}, func(s *setup) {
				s.set.Forwarded, s.client = tt.mode, netip.MustParseAddrPort(tt.client)
			})
			h := passed(t, b, got, append(aliases, tt.fields...)...)
			for name, want := range map[string][]string{"X-Forwarded-For": tt.addresses, "X-Forwarded-Proto": tt.proto, "X-Forwarded-Port": tt.port} {
				if values := h.fields(name); strings.Join(values, "|") != strings.Join(want, "|") {
					t.Errorf("%s: %q, want %q", name, values, want)
				}
			}
			n := strings.Count(strings.ToLower(h.head), "forwarded")
			if n != len(tt.addresses)+len(tt.proto)+len(tt.port) || strings.Contains(h.head, "6.6.6.6") {
				t.Errorf("an alias passed: %q", h.head)
			}
		})
	}
}

// T18 (CVE-2026-52845, CVE-2025-64484, CVE-2026-39858): what claims an identity
// never comes from a client, in no spelling, however often; ours is there once.
func TestForgedIdentitiesDoNotPass(t *testing.T) {
	address, got := recorder(t, ok)
	b := start(t, []string{address})
	for _, name := range []string{
		"X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Serial-Number", "X-Amzn-Mtls-Clientcert-Leaf",
		"Client-Cert", "Client-Cert-Chain", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info",
		"X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X-SSL-Client-I-DN", "X-SSL-Client-Serial", "X-SSL-Client-Fingerprint", "X-SSL-Client-Cert",
		"Ssl-Client-Cert", "Ssl-Client-Verify", "X-Client-Cert", "X-Client-DN", "X-ARR-ClientCert",
	} {
		var fields []string
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			for _, dash := range []string{"-", "_", "."} {
				f := strings.ReplaceAll(spelled, "-", dash) + ": forged"
				fields = append(fields, f, f, strings.Replace(spelled, "-", dash, 1)+": forged")
			}
		}
		h := passed(t, b, got, fields...)
		if strings.Contains(h.head, "forged") {
			t.Errorf("%s passed: %q", name, h.head)
		}
		if strings.Count(h.head, identity) != 1 {
			t.Errorf("what is true is not there once: %q", h.head)
		}
	}
}

// T19 (CVE-2021-33197, CVE-2024-45410, CVE-2026-29054): Connection cannot have a
// field removed that is ours, or that says what the message is (RFC 9110
// section 7.6.1); what it may, it does, and it goes no further itself.
func TestWhatConnectionNames(t *testing.T) {
	address, got := recorder(t, ok)
	b := start(t, []string{address})
	for _, named := range []string{
		"X-Amzn-Mtls-Clientcert-Subject", "x-amzn-mtls-clientcert-subject", "X_Amzn_Mtls_Clientcert_Subject",
		"X-Forwarded-For", "X-Forwarded-Proto", "Host", "HOST", "Content-Length", "Content-Type", "Transfer-Encoding", "Expect",
	} {
		b.dial().exchange(lines("POST / HTTP/1.1", "Host: h", "Connection: close, "+named, "Content-Type: text/plain", "Content-Length: 3") + "abc")
		h := receive(t, got, "the request")
		for _, want := range []string{identity, "Host: h\r\n", "X-Forwarded-For: 192.0.2.7\r\n", "X-Forwarded-Proto: https\r\n", "Content-Length: 3\r\n", "Content-Type: text/plain\r\n"} {
			if strings.Count(h.head, want) != 1 {
				t.Errorf("Connection: %s removed %q: %q", named, want, h.head)
			}
		}
		if h.body != "abc" || strings.Contains(h.head, "Connection") {
			t.Errorf("Connection: %s: %+v", named, h)
		}
	}
	h := passed(t, b, got, "Connection: x-hop , X-Other", "X-Hop: 1", "X-Other: 2", "X-End: 3", "Keep-Alive: 5", "TE: trailers",
		"Proxy-Connection: keep-alive", "Proxy-Authorization: x", "Upgrade: websocket", "Trailer: X-Sum")
	for _, gone := range []string{"X-Hop", "X-Other", "Keep-Alive", "TE: ", "Proxy-", "Upgrade", "Connection"} {
		if strings.Contains(h.head, gone) {
			t.Errorf("%s passed: %q", gone, h.head)
		}
	}
	for _, stays := range []string{"X-End: 3\r\n", "Trailer: X-Sum\r\n"} {
		if !strings.Contains(h.head, stays) {
			t.Errorf("%s is missing: %q", stays, h.head)
		}
	}
}

// The head as the target gets it, to the octet.
func TestTheHeadThatTheTargetGets(t *testing.T) {
	const common = "X-Amzn-Mtls-Clientcert-Subject: CN=test\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n"
	for _, tt := range []struct{ name, request, want string }{
		{"as it was", "GET /a%20b/../c?x=1&&y HTTP/1.1\r\nhost: Example.COM:8443\r\nUser-Agent:  curl \r\nx-lower: 1\r\nX-Empty:\r\nCookie: a\r\nCookie: b\r\nConnection: close\r\n\r\n",
			"GET /a%20b/../c?x=1&&y HTTP/1.1\r\nHost: Example.COM:8443\r\nUser-Agent: curl\r\nx-lower: 1\r\nX-Empty: \r\nCookie: a\r\nCookie: b\r\n" + common + "\r\n"},
		{"absolute-form (RFC 9112 section 3.2.2)", "GET http://h:80/p?q HTTP/1.1\r\nHost: h:80\r\nConnection: close\r\n\r\n",
			"GET /p?q HTTP/1.1\r\nHost: h:80\r\n" + common + "\r\n"},
		{"absolute-form without a path", "GET https://h?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			"GET /?q HTTP/1.1\r\nHost: h\r\n" + common + "\r\n"},
		{"asterisk-form (RFC 9112 section 3.2.4)", "OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: h\r\n" + common + "\r\n"},
		{"an empty query", "GET /? HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET /? HTTP/1.1\r\nHost: h\r\n" + common + "\r\n"},
		{"an empty line before it (RFC 9112 section 2.2)", "\r\nGET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n" + common + "\r\n"},
		{"HTTP/1.0 with Host", "GET / HTTP/1.0\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n" + common + "\r\n"},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: ADDRESS\r\n" + common + "\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, got := recorder(t, ok)
			b := start(t, []string{address})
			b.send(tt.request)
			if h, want := receive(t, got, "the request"), strings.ReplaceAll(tt.want, "ADDRESS", b.address); h.head != want {
				t.Errorf("got  %q\nwant %q", h.head, want)
			}
		})
	}
}

// Heads larger than the first buffer, and several in a row that do not fit into
// one together, arrive whole on both sides.
func TestLargeHeadsPass(t *testing.T) {
	big := func(n int) string { return "X-Big: " + strings.Repeat(string(rune('a'+n)), 12<<10) }
	interim := lines("HTTP/1.1 103 Early Hints", big(1), big(2))
	final := lines("HTTP/1.1 200 OK", "Date: Sun, 22 Nov 2026 03:00:00 GMT", big(3), big(4), "Content-Length: 2") + "ok"
	address, got := recorder(t, interim+final)
	c := start(t, []string{address}).dial()
	for range 3 {
		c.write(lines("GET / HTTP/1.1", "Host: h", big(5), big(6), big(7)) + lines("GET / HTTP/1.1", "Host: h", big(8)))
		for _, want := range []int{3, 1} {
			c.expect(interim)
			c.head()
			c.expect("ok")
			if h := receive(t, got, "the request"); strings.Count(h.head, "\r\nX-Big: ") != want || len(h.head) < want*12<<10 {
				t.Errorf("%d bytes of a head arrived", len(h.head))
			}
		}
	}
}
