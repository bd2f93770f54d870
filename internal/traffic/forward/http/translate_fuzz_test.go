package http_test

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"
	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http1"
)

// ours are the fields that every target is told, whatever the client says.
var ours = []string{"x-amzn-mtls-clientcert-subject: CN=test", "x-forwarded-for: 192.0.2.7", "x-forwarded-proto: https", "x-forwarded-port: 8443"}

// stripped reports whether a target may not be told a field of that name by a
// client, however it is spelled.
func stripped(name string) bool {
	name = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
	return strings.HasPrefix(name, "x-amzn-mtls-clientcert") || name == "x-forwarded-proto" || name == "x-forwarded-port"
}

// of is b for a part of a test.
func (b *bench) of(t testing.TB) *bench {
	part := *b
	part.t = t
	return &part
}

// concerns reports whether a field is about one connection of HTTP/1.1.
func concerns(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "proxy-authorization":
		return true
	}
	return false
}

// once counts the fields, of which all that may be there once are.
func once(t *testing.T, fields []string) {
	t.Helper()
	for _, name := range []string{"host", "content-length", "transfer-encoding", ":method", ":path", ":authority", ":scheme"} {
		n := 0
		for _, f := range fields {
			have, _, _ := strings.Cut(f[1:], ":")
			if strings.EqualFold(f[:1]+have, name) {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%s is there %d times: %q", name, n, fields)
		}
	}
}

// FuzzFromHTTP1ToHTTP2 sends what a client may send over HTTP/1.1. What a target
// hears over HTTP/2 is, by the rules of golang.org/x/net, a valid request, the
// one that the octets say; nothing in it claims an identity.
func FuzzFromHTTP1ToHTTP2(f *testing.F) {
	for _, seed := range []string{
		get, chatRequest,
		"POST /?q HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nTE: trailers\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\nX-Amzn-Mtls-Clientcert: z\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET /x",
		"HEAD http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX_Amzn_Mtls_Clientcert_Subject: 1\r\nConnection: Host, X-A, TE\r\nX-A: 1\r\nCookie: a\r\nCookie: b\r\n:path: /x\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	address, got := heads2(f)
	b := start(f, []string{address}, pair{v1, v2}.setup, func(s *setup) { s.set.Body = 1 << 20 })
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 64<<10 {
			return
		}
		conn, err := net.Dial("tcp", b.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(in)
		conn.(*net.TCPConn).CloseWrite()
		for buf := make([]byte, 4096); ; {
			if _, err := conn.Read(buf); err != nil {
				if ne, is := err.(net.Error); is && ne.Timeout() {
					t.Fatal("the connection does not end")
				}
				break
			}
		}
		want, _ := meaning(in, b.set.Request)
		for i := 0; len(got) > 0; i++ {
			sections := <-got
			if i == len(want) {
				t.Fatalf("the target heard more requests than the client sent: %v", sections)
			}
			w, head := want[i], sections[0]
			path := w.target
			if m := head.get(":method"); m != w.method || head.get(":path") != path || w.host != "" && head.get(":authority") != w.host || head.get(":scheme") != "http" {
				t.Errorf("the target heard %v, the client sent %+v", head, w)
			}
			if body := sections[len(sections)-1].body; body != w.body {
				t.Errorf("the target heard the body %q, the client sent %+v", body, w)
			}
			list := head.list()
			once(t, list)
			for _, own := range ours {
				if !slices.ContainsFunc(list, func(l string) bool {
					return l == own || strings.HasPrefix(own, "x-forwarded-for") && strings.HasPrefix(l, "x-forwarded-for: ")
				}) {
					t.Errorf("the target was not told %s: %v", own, head)
				}
			}
			for n, section := range sections {
				for _, fl := range section.fields {
					line := fl.Name + ": " + fl.Value
					switch {
					case concerns(fl.Name), fl.Name == "te" && fl.Value != "trailers", n > 0 && fl.IsPseudo(),
						!fl.IsPseudo() && (!httpguts.ValidHeaderFieldName(fl.Name) || strings.ToLower(fl.Name) != fl.Name), !httpguts.ValidHeaderFieldValue(fl.Value),
						stripped(fl.Name) && (n > 0 || !slices.Contains(ours, line)):
						t.Errorf("the target heard %q", line)
					}
				}
			}
		}
	})
}

// FuzzFromHTTP2ToHTTP1 sends a request over HTTP/2 with whatever fields, one a
// line. What a target hears over HTTP/1.1 is one request, by the strictest rules
// there are, and the one that the fields say; then comes one that is plain.
func FuzzFromHTTP2ToHTTP1(f *testing.F) {
	for _, seed := range []string{
		":method: GET\n:scheme: https\n:authority: h\n:path: /",
		":method: POST\n:scheme: https\n:authority: h\n:path: /a?b\ncontent-length: 3\nx: y\n\nabc",
		":method: POST\n:scheme: https\n:authority: h\n:path: /\ntrailer: x\n\nabc\n\nx: y\nx_amzn_mtls_clientcert_leaf: z\ncontent-length: 1",
		":method: CONNECT\n:protocol: websocket\n:scheme: https\n:authority: h\n:path: /chat\nsec-websocket-key: x",
		":method: GET\n:scheme: https\n:path: /x\nhost: h\ncookie: a\ncookie: b\nx.amzn.mtls.clientcert: z\nte: trailers\nexpect: 100-continue",
		":method: GET / HTTP/1.1\r\nX: y\r\n\r\n\n:scheme: https\n:authority: h\n:path: / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
		":method: OPTIONS\n:scheme: https\n:authority: h\n:path: *\nx: a\rb",
		":method: GET\n:scheme: https\n:authority: h\r\nx: y\n:path: //evil/../a#b",
	} {
		f.Add(seed)
	}
	address, got := recorder(f, ok)
	b := start(f, []string{address}, pair{v2, v1}.setup)
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 16<<10 {
			return
		}
		parts := strings.SplitN(in, "\n\n", 3)
		section := func(lines string) (fields []string) {
			for l := range strings.SplitSeq(lines, "\n") {
				at := strings.Index(strings.TrimPrefix(l, ":"), ": ")
				if at >= 0 {
					at += strings.Index(l, strings.TrimPrefix(l, ":"))
					fields = append(fields, l[:at], l[at+2:])
				}
			}
			return fields
		}
		p := b.of(t).dial2()
		defer p.Close()
		fields := section(parts[0])
		p.head(1, len(parts) == 1, fields...)
		if len(parts) > 1 {
			p.data(1, len(parts) == 2, parts[1])
		}
		if len(parts) > 2 {
			p.head(1, true, section(parts[2])...)
		}
		p.head(3, true, get2...) // the next one, which has to arrive as it is
		answers := map[uint32]bool{}
		for !answers[1] || !answers[3] {
			fr, err := p.next()
			if err != nil {
				break // the connection may end
			}
			if fr.end || fr.kind == h2.FrameRSTStream {
				answers[fr.id] = true
			}
		}
		plain := "GET / HTTP/1.1\r\nHost: h\r\n" + identity + "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n\r\n"
		requests := 0
		for len(got) > 0 {
			h := <-got
			if h.head == plain && h.body == "" {
				continue
			}
			if requests++; requests > 1 {
				t.Fatalf("the target heard a second request: %q", h.head)
			}
			judge(t, fields, h)
		}
	})
}

// judge holds what a target heard against the fields that were sent.
func judge(t *testing.T, fields []string, h heard) {
	var q http1.Request
	n, err := q.Parse([]byte(h.head), http1.Limits{})
	if err != nil || n != len(h.head) {
		t.Fatalf("the target heard what is no request: %q: %v", h.head, err)
	}
	said := func(name string) string {
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				return fields[i+1]
			}
		}
		return ""
	}
	method := said(":method")
	if said(":protocol") != "" {
		method = "GET"
	}
	host := said(":authority")
	if host == "" {
		host = said("host")
	}
	if string(q.Method) != method || string(q.Target) != said(":path") || string(q.Host) != host {
		t.Errorf("the target heard %q, the client said %q", h.head, fields)
	}
	var list []string
	for _, fl := range q.Fields {
		name, value := string(fl.Name), string(fl.Value)
		line := strings.ToLower(name) + ": " + value
		list = append(list, line)
		switch switching := said(":protocol") != ""; {
		case stripped(name) && !slices.Contains(ours, line),
			strings.EqualFold(name, "te"), concerns(name) && !switching && line != "transfer-encoding: chunked",
			!httpguts.ValidHeaderFieldName(name), !httpguts.ValidHeaderFieldValue(value):
			t.Errorf("the target heard %q", line)
		}
	}
	once(t, list)
	for l := range strings.SplitSeq(h.trailer, "\r\n") {
		if name, _, is := strings.Cut(l, ":"); is && (stripped(name) || concerns(name) || strings.EqualFold(name, "content-length") || strings.EqualFold(name, "host")) {
			t.Errorf("the target heard the trailer %q", l)
		}
	}
}

// FuzzAnAnswerFromHTTP2 answers over HTTP/2 with whatever fields to a client of
// HTTP/1.1: the connection has one answer, by the strictest rules there are, or
// none that is whole.
func FuzzAnAnswerFromHTTP2(f *testing.F) {
	for _, seed := range []string{
		":status: 200\nx: y\n\nok", ":status: 200\ncontent-length: 2\n\nok\n\nx: y", ":status: 204", ":status: 304\ncontent-length: 5", ":status: 103\nlink: x",
		":status: 200\nx: a\r\nSet-Cookie: b\n\nok", ":status: 200 OK\r\nX: y\nconnection: close", ":status: 200\ncontent-length: 3\n\nok", ":status: 101\nupgrade: websocket", ":status: 200\nset-cookie: a\nset-cookie: b\nvary: x",
	} {
		f.Add(seed)
	}
	answers := make(chan string, 1)
	address := target2(f, func(p *peer) {
		for {
			head, err := p.next()
			if err != nil {
				return
			}
			if head.kind != h2.FrameHeaders {
				continue
			}
			parts := strings.SplitN(<-answers, "\n\n", 3)
			for i, part := range parts {
				last := i == len(parts)-1
				if i == 1 {
					p.data(head.id, last, part)
					continue
				}
				var block bytes.Buffer
				enc := hpack.NewEncoder(&block)
				for l := range strings.SplitSeq(part, "\n") {
					if name, value, is := strings.Cut(strings.TrimPrefix(l, ":"), ": "); is {
						enc.WriteField(hpack.HeaderField{Name: l[:len(l)-len(strings.TrimPrefix(l, ":"))] + name, Value: value})
					}
				}
				p.mu.Lock()
				p.frames.WriteHeaders(h2.HeadersFrameParam{StreamID: head.id, BlockFragment: block.Bytes(), EndStream: last, EndHeaders: true})
				p.mu.Unlock()
			}
		}
	})
	b := start(f, []string{address}, pair{v1, v2}.setup, short("wait"))
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 8<<10 {
			return
		}
		answers <- in
		answer := []byte(b.of(t).send(get))
		select { // it may not have come to that
		case <-answers:
		default:
		}
		for status := 100; status < 200; {
			var p http1.Response
			n, err := p.Parse(answer, http1.Limits{Head: 1 << 20}, []byte("GET"))
			if err != nil {
				t.Fatalf("the client got %q: %v", answer, err)
			}
			status, answer = p.Status, answer[n:]
			if status == 101 {
				t.Fatalf("a switch that nobody asked for: %q", in)
			}
			switch p.Body {
			case http1.Length:
				answer = answer[min(len(answer), int(p.ContentLength)):]
			case http1.Chunked:
				var c http1.Chunks
				for done := false; !done && len(answer) > 0; {
					_, n, end, err := c.Next(answer)
					if err != nil {
						t.Fatalf("the client got %q: %v", answer, err)
					}
					answer, done = answer[n:], end
				}
			case http1.UntilClose:
				t.Fatalf("how long it is is not said: %+v", p)
			}
		}
		if len(answer) > 0 {
			t.Errorf("behind the answer to %q comes %q", in, answer)
		}
	})
}
