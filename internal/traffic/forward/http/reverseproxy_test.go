package http_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	nethttp "net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"countersign.dev/internal/traffic/forward/http"
)

// A seen request is what a target understands of it.
type seen struct {
	Method, Target, Host, Body string
	Fields                     []string // "name: value", names folded, sorted by name
}

// witness is a target that tells what it sees.
func witness(t *testing.T) (address string, got chan seen) {
	got = make(chan seen, 1)
	return server(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, r.Host, string(body), flat(r.Header)}
		io.WriteString(w, "ok")
	}), got
}

func flat(h nethttp.Header) (fields []string) {
	for name, values := range h {
		for _, v := range values {
			fields = append(fields, strings.ToLower(name)+": "+v)
		}
	}
	slices.SortStableFunc(fields, func(a, b string) int {
		a, _, _ = strings.Cut(a, ":")
		b, _, _ = strings.Cut(b, ":")
		return strings.Compare(a, b)
	})
	return fields
}

// A generated request is valid, and goes without what the two are known to treat
// differently:
//   - X-Forwarded-*, identity fields: only the engine has an opinion about them.
//   - User-Agent: net/http's client adds its own where there is none.
//   - TE: trailers: ReverseProxy passes it, the engine does not (RFC 9110 section 10.1.4).
//   - Upgrade, Expect: net/http's server and client act on them on their own.
//   - Accept-Encoding: the transport's own is switched off.
//   - trailers of a request: ReverseProxy drops them (TestRequestBodies has ours).
//   - a chunked GET without content: net/http drops the framing, the engine keeps it.
//   - queries with ";" or bad escapes: ReverseProxy cleans them, the engine passes them.
type generated struct{ text, method, body string }

func generate(t *rapid.T) generated {
	method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FROB"}).Draw(t, "method")
	path := rapid.StringMatching(`/[a-zA-Z0-9._~!$&'()*+,=:@-]{0,12}(/[a-z0-9]{0,5}|/%[2-7][0-9A-E]){0,3}`).Draw(t, "path")
	query := rapid.StringMatching(`(\?([a-z]{1,4}(=[a-zA-Z0-9%2F._~-]{0,8})?(&[a-z]{1,4}=[0-9]{0,4}){0,3})?)?`).Draw(t, "query")
	if _, err := url.QueryUnescape(strings.TrimPrefix(query, "?")); err != nil {
		query = ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\n", method, path, query)
	var named []string
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		name := rapid.SampledFrom([]string{"X-A", "x-b", "Cookie", "Accept", "Authorization", "If-None-Match", "Via", "X-C_D", "Date", "Referer", "Keep-Alive",
			"Proxy-Authorization", "Proxy-Connection", "Cache-Control"}).Draw(t, "name")
		value := rapid.StringMatching(`([!-~]([ -~\x{a0}-\x{ff}]{0,20}[!-~])?)?`).Draw(t, "value")
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		if strings.HasPrefix(strings.ToLower(name), "x-") && rapid.Bool().Draw(t, "hop") {
			named = append(named, name)
		}
	}
	for _, name := range named {
		fmt.Fprintf(&b, "Connection: %s\r\n", name)
	}
	body := string(rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(t, "body"))
	switch framing := rapid.SampledFrom([]string{"none", "length", "chunked"}).Draw(t, "framing"); {
	case framing == "none":
		b.WriteString("\r\n")
		body = ""
	case framing == "length":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		body += "." // not without content
		for rest := body; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n\r\n")
	}
	return generated{b.String(), method, body}
}

// Whatever is valid reaches the target through the engine as it does through
// net/http/httputil.ReverseProxy.
func TestTheTargetSeesWhatReverseProxyWouldShow(t *testing.T) {
	address, got := witness(t)
	b := start(t, []string{address}, func(s *setup) { s.set.Forwarded = http.ForwardedRemove })
	transport := &nethttp.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := server(t, (&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", address
			r.Out.Host = r.In.Host
		},
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}).ServeHTTP)
	ours := b.dial()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	theirs := &client{Conn: conn, t: t, r: bufio.NewReader(conn)}

	rapid.Check(t, func(rt *rapid.T) {
		g := generate(rt)
		theirs.write(g.text)
		if resp, body := theirs.read(g.method); resp.StatusCode != 200 {
			rt.Fatalf("ReverseProxy: %s %q for %q", resp.Status, body, g.text)
		}
		want := <-got
		ours.write(g.text)
		if resp, body := ours.read(g.method); resp.StatusCode != 200 {
			rt.Fatalf("the engine: %s %q for %q", resp.Status, body, g.text)
		}
		have := <-got
		have.Fields = slices.DeleteFunc(have.Fields, func(f string) bool { return strings.HasPrefix(f, "x-amzn-mtls-") })
		if want.Method == "GET" || want.Method == "OPTIONS" || want.Body == "" {
			drop := func(f string) bool { return f == "content-length: 0" }
			want.Fields, have.Fields = slices.DeleteFunc(want.Fields, drop), slices.DeleteFunc(have.Fields, drop)
		}
		if d := cmp.Diff(want, have); d != "" {
			rt.Errorf("for %q (-ReverseProxy +engine):\n%s", g.text, d)
		}
		if have.Body != g.body {
			rt.Errorf("the body is %d bytes, want %d", len(have.Body), len(g.body))
		}
	})
}

// Whatever is a valid answer reaches the client as through ReverseProxy.
func TestTheClientSeesWhatReverseProxyWouldShow(t *testing.T) {
	answers := make(chan string, 1)
	address := target(t, func(conn net.Conn) {
		if readHead(bufio.NewReader(conn)); len(answers) > 0 {
			io.WriteString(conn, <-answers)
		}
	})
	b := start(t, []string{address})
	transport := &nethttp.Transport{DisableCompression: true, DisableKeepAlives: true}
	proxy := server(t, (&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", address },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}).ServeHTTP)
	rapid.Check(t, func(rt *rapid.T) {
		status := rapid.SampledFrom([]int{200, 201, 206, 301, 404, 418, 500, 503}).Draw(rt, "status")
		body := rapid.SliceOfN(rapid.Byte(), 0, 50000).Draw(rt, "body")
		var a bytes.Buffer
		fmt.Fprintf(&a, "HTTP/1.1 %d Reason\r\n%s\r\nContent-Type: x/y\r\nConnection: X-Hop\r\nX-Hop: 1\r\n", status, date)
		for range rapid.IntRange(0, 4).Draw(rt, "fields") {
			fmt.Fprintf(&a, "%s: %s\r\n", rapid.SampledFrom([]string{"Set-Cookie", "ETag", "x-lower", "Location", "Keep-Alive", "Server"}).Draw(rt, "name"),
				rapid.StringMatching(`[!-~]([ -~]{0,20}[!-~])?`).Draw(rt, "value"))
		}
		switch rapid.SampledFrom([]string{"length", "chunked", "close"}).Draw(rt, "framing") {
		case "length":
			fmt.Fprintf(&a, "Content-Length: %d\r\n\r\n%s", len(body), body)
		case "chunked":
			a.WriteString("Transfer-Encoding: chunked\r\n\r\n")
			chunks(&a, body)
		default:
			fmt.Fprintf(&a, "\r\n%s", body)
		}
		ask := func(address string) (int, []string, string) {
			answers <- a.String()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				rt.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, get)
			c := &client{Conn: conn, t: t, r: bufio.NewReader(conn)}
			resp, got := c.read("GET")
			resp.Header.Del("Content-Length") // net/http's server adds it to what is small
			return resp.StatusCode, flat(resp.Header), got
		}
		wantStatus, wantFields, wantBody := ask(proxy)
		status2, fields, got := ask(b.address)
		if d := cmp.Diff(wantFields, fields); d != "" || status2 != wantStatus || got != wantBody {
			rt.Errorf("status %d, want %d; %d bytes, want %d; fields (-ReverseProxy +engine):\n%s", status2, wantStatus, len(got), len(wantBody), d)
		}
	})
}
