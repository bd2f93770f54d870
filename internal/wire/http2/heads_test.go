package http2

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"countersign.dev/internal/wire/http1"
)

// arrived is what a server made of a request head.
type arrived struct {
	method, target, host, protocol string
	fields                         string // name: value, one behind the other
	fault                          string // "" for none; kind and status
	malformed                      bool
	body                           http1.BodyKind
}

// ask sends one head and returns what open was given.
func ask(t *testing.T, config Config, end bool, fields ...string) arrived {
	t.Helper()
	got := make(chan arrived, 1)
	r, _ := rawClient(t, config, func(s *Stream) {
		q := &s.Request
		a := arrived{method: string(q.Method), target: string(q.Target), host: string(q.Host), protocol: string(s.Protocol),
			malformed: s.Malformed, body: q.Body}
		if !q.HTTP2 || q.Minor != 1 {
			t.Errorf("HTTP2 %v, minor %d", q.HTTP2, q.Minor)
		}
		for _, f := range q.Fields {
			a.fields += fmt.Sprintf("%s: %s\n", f.Name, f.Value)
		}
		if s.Fault != nil {
			a.fault = fmt.Sprintf("%s %d", s.Fault.Kind, s.Fault.Status)
		}
		got <- a
		answer(s)
	})
	r.headers(1, end, fields...)
	return <-got
}

func TestHeadsThatAreMalformed(t *testing.T) {
	swap := func(name, value string) []string {
		h := head("GET")
		for i := 0; i < len(h); i += 2 {
			if h[i] == name {
				h[i+1] = value
			}
		}
		return h
	}
	drop := func(name string) (kept []string) {
		h := head("GET")
		for i := 0; i < len(h); i += 2 {
			if h[i] != name {
				kept = append(kept, h[i], h[i+1])
			}
		}
		return kept
	}
	for _, tt := range []struct {
		clause, name string
		fields       []string
	}{
		{"8.1.1", "content announced and none sent", head("POST", "content-length", "3")},
		{"8.1.1", "a length that is no number", head("POST", "content-length", "three")},
		{"8.1.1", "two lengths", head("POST", "content-length", "3", "content-length", "4")},
		{"8.2.1", "a capital", head("GET", "X-Upper", "y")},
		{"8.2.1", "an empty name", head("GET", "", "y")},
		{"8.2.1", "a colon in a name", head("GET", "x:y", "z")},
		{"8.2.1", "a space in a name", head("GET", "x y", "z")},
		{"8.2.1", "NUL in a value", head("GET", "x", "a\x00b")},
		{"8.2.1", "LF in a value", head("GET", "x", "a\nx-injected: b")},
		{"8.2.1", "CR in a value", head("GET", "x", "a\rb")},
		{"8.2.1", "LF in the path", swap(":path", "/\nx")},
		{"8.2.1", "white space before a value", head("GET", "x", " a")},
		{"8.2.1", "white space behind a value", head("GET", "x", "a\t")},
		{"8.2.2", "connection", head("GET", "connection", "x")},
		{"8.2.2", "proxy-connection", head("GET", "proxy-connection", "keep-alive")},
		{"8.2.2", "keep-alive", head("GET", "keep-alive", "1")},
		{"8.2.2", "transfer-encoding", head("GET", "transfer-encoding", "chunked")},
		{"8.2.2", "upgrade", head("GET", "upgrade", "websocket")},
		{"8.2.2", "te", head("GET", "te", "trailers, gzip")},
		{"8.3", "an unknown pseudo-field", append(head("GET"), ":port", "1")},
		{"8.3", "a pseudo-field of responses", append(head("GET"), ":status", "200")},
		{"8.3", "a pseudo-field behind others", append(drop(":path"), "x", "y", ":path", "/")},
		{"8.3.1", "a pseudo-field twice", append(head("GET"), ":path", "/")},
		{"8.3.1", "no method", drop(":method")},
		{"8.3.1", "no scheme", drop(":scheme")},
		{"8.3.1", "no path", drop(":path")},
		{"8.3.1", "an empty path", swap(":path", "")},
		{"8.5", "CONNECT with a path", []string{":method", "CONNECT", ":authority", "a:1", ":path", "/"}},
		{"8.5", "CONNECT without an authority", []string{":method", "CONNECT"}},
		{"RFC 8441 3", "a protocol that was not offered", append(head("CONNECT"), ":protocol", "websocket")},
	} {
		if a := ask(t, Config{}, true, tt.fields...); !a.malformed || !strings.HasSuffix(a.fault, " 400") {
			t.Errorf("%s %s: accepted: %+v", tt.clause, tt.name, a)
		}
	}
	// RFC 8441 section 4.
	for _, h := range [][]string{
		append(head("GET"), ":protocol", "websocket"),
		{":method", "CONNECT", ":authority", "a:1", ":protocol", "websocket"},
		{":method", "CONNECT", ":scheme", "http", ":path", "/", ":protocol", "websocket"},
	} {
		if a := ask(t, Config{Connect: true}, false, h...); !a.malformed {
			t.Errorf("%q: accepted", h)
		}
	}
}

func TestAMalformedRequestIsResetWithPROTOCOL_ERROR(t *testing.T) {
	r, _ := rawClient(t, Config{}, answer)
	r.headers(1, true, head("GET", "connection", "close")...)
	if f := r.next(false); show(f) != "RST_STREAM 1 PROTOCOL_ERROR" {
		t.Error(show(f))
	}
	r.headers(3, true, head("GET")...)
	r.expect("DATA 3 15 end=true")
	// h2spec 5.3.1.
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, EndStream: true, EndHeaders: true,
		Priority: http2.PriorityParam{StreamDep: 5}, BlockFragment: r.section(head("GET")...)})
	if f := r.next(false); show(f) != "RST_STREAM 5 PROTOCOL_ERROR" {
		t.Error(show(f))
	}
}

func TestHeadsThatAreFaultyAsInHTTP1AreAnsweredAsThere(t *testing.T) {
	long := strings.Repeat("v", 1000)
	lim := Config{Limits: http1.Limits{Line: 100, Field: 500, Head: 2000, Count: 5}}
	for _, tt := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"a bad escape", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/%zz"}, "BadUri 400"},
		{"a fragment", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/#f"}, "BadUri 400"},
		{"no slash", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "x"}, "BadUri 400"},
		{"a space", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/a b"}, "AmbiguousUri 400"},
		{"another scheme", []string{":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "/"}, "BadUri 400"},
		{"a bad method", []string{":method", "G T", ":scheme", "http", ":authority", "a", ":path", "/"}, "BadMethod 400"},
		{"a bad authority", []string{":method", "GET", ":scheme", "http", ":authority", "me@a", ":path", "/"}, "BadHost 400"},
		{"no host", []string{":method", "GET", ":scheme", "http", ":path", "/"}, "BadHost 400"},
		{"another host", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "host", "b"}, "BadHost 400"},
		{"a length twice", head("POST", "content-length", "0", "content-length", "0"), "DuplicateContentLength 400"},
		{"an expectation", head("POST", "expect", "miracles"), "BadExpect 417"},
		{"a long path", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/" + long[:200]}, "TooLarge 414"},
		{"a long field", head("GET", "x", long), "TooLarge 431"},
		{"many fields", head("GET", "a", "", "b", "", "c", "", "d", "", "e", "", "f", ""), "TooLarge 431"},
		{"a long head", head("GET", "a", long[:400], "b", long[:400], "c", long[:400], "d", long[:400], "e", long[:400]), "TooLarge 431"},
	} {
		if a := ask(t, lim, true, tt.fields...); a.malformed || a.fault != tt.want || a.method == "" || a.target == "" {
			t.Errorf("%s: %+v, expected %s", tt.name, a, tt.want)
		}
	}
}

func TestRequestsAreUnderstood(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []string
		end    bool
		want   arrived
	}{
		{"GET", head("GET"), true, arrived{method: "GET", target: "/", host: "test.example"}},
		{"POST", head("POST"), false, arrived{method: "POST", target: "/", host: "test.example", body: http1.Chunked}},
		{"POST of a length", head("POST", "content-length", "2"), false,
			arrived{method: "POST", target: "/", host: "test.example", body: http1.Length, fields: "content-length: 2\n"}},
		{"OPTIONS *", []string{":method", "OPTIONS", ":scheme", "http", ":authority", "a", ":path", "*"}, true,
			arrived{method: "OPTIONS", target: "*", host: "a"}},
		{"a host in place of the authority", []string{":method", "GET", ":scheme", "http", ":path", "/?q", "host", "a:8080"}, true,
			arrived{method: "GET", target: "/?q", host: "a:8080", fields: "host: a:8080\n"}},
		{"te", head("GET", "te", "trailers"), true, arrived{method: "GET", target: "/", host: "test.example", fields: "te: trailers\n"}},
		// RFC 9113 section 8.2.3.
		{"cookies", head("GET", "cookie", "a=b", "x", "y", "cookie", "c=d", "cookie", "e=f", "z", "z"), true,
			arrived{method: "GET", target: "/", host: "test.example", fields: "cookie: a=b; c=d; e=f\nx: y\nz: z\n"}},
		// Section 8.5.
		{"CONNECT", []string{":method", "CONNECT", ":authority", "a:1"}, false,
			arrived{method: "CONNECT", target: "a:1", host: "a:1", body: http1.Chunked}},
		{"extended CONNECT", append(head("CONNECT"), ":protocol", "websocket"), false,
			arrived{method: "CONNECT", target: "/", host: "test.example", protocol: "websocket", body: http1.Chunked}},
	} {
		if a := ask(t, Config{Connect: true}, tt.end, tt.fields...); a != tt.want {
			t.Errorf("%s: %+v, expected %+v", tt.name, a, tt.want)
		}
	}
}

func TestWhatIsSentIsInLowerCaseAndSecretsAreNeverIndexed(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/p?q", "X-Mixed", "Value", "authorization", "secret", "Cookie", "secret", "plain", "z"), End)
	defer s.Close()
	f := r.next(false).(*http2.HeadersFrame)
	fields, err := r.dec.DecodeFull(f.HeaderBlockFragment())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range fields {
		got += fmt.Sprintf("%s=%s %v\n", f.Name, f.Value, f.Sensitive)
	}
	want := ":method=GET false\n:scheme=http false\n:authority=test.example false\n:path=/p?q false\n" +
		"x-mixed=Value false\nauthorization=secret true\ncookie=secret true\nplain=z false\n"
	if got != want {
		t.Errorf("%s\nexpected\n%s", got, want)
	}
	if b := f.HeaderBlockFragment(); b[0] != 0x20 {
		t.Errorf("the first section starts with 0x%02x, expected a table size of 0 (RFC 7541 section 6.3)", b[0])
	}
}

func TestTrailersThatDecideSomethingAreLeftOut(t *testing.T) {
	// RFC 9110 section 6.5.1.
	got := make(chan string, 1)
	r, _ := rawClient(t, Config{}, func(s *Stream) {
		readAll(s)
		all := ""
		for _, f := range s.Trailers() {
			all += string(f.Name) + "=" + string(f.Value) + " "
		}
		s.WriteHead(response(200), End)
		got <- all
	})
	r.headers(1, false, head("POST")...)
	r.WriteData(1, false, []byte("x"))
	r.headers(1, true, "grpc-status", "0", "content-length", "1", "authorization", "x", "x-sum", "2")
	if all := <-got; all != "grpc-status=0 x-sum=2 " {
		t.Errorf("%q", all)
	}
}

func TestInterimResponsesKeepTheirOrder(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("GET", "/"), End)
	defer s.Close()
	for i := range 5 {
		r.headers(1, false, ":status", "103", "x", fmt.Sprint(i))
	}
	r.headers(1, false, ":status", "200", "x", "5")
	r.WriteData(1, true, []byte("body"))
	for i := range 6 {
		if err := s.ReadHead(patience); err != nil || string(s.Response.Fields[0].Value) != fmt.Sprint(i) {
			t.Fatalf("head %d: %v %q", i, err, s.Response.Fields[0].Value)
		}
	}
	if b, err := readAll(s); err != nil || string(b) != "body" {
		t.Errorf("%q %v", b, err)
	}
	if err := s.ReadHead(patience); err != io.EOF {
		t.Errorf("%v behind the last head", err)
	}
}

func TestAResponseToHEADMayAnnounceContent(t *testing.T) {
	r, c := rawServer(t, Config{})
	s := begin(t, c, request("HEAD", "/"), End)
	defer s.Close()
	r.headers(1, true, ":status", "200", "content-length", "12")
	if err := s.ReadHead(patience); err != nil || s.Response.ContentLength != 12 || s.Response.Body != http1.NoBody {
		t.Fatalf("%v %+v", err, s.Response)
	}
	if _, err := s.Read(make([]byte, 1), patience); err != io.EOF {
		t.Error(err)
	}
}
