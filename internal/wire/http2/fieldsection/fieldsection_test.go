package fieldsection

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"countersign.dev/internal/wire/http1"
)

var limits = http1.Limits{Line: 100, Field: 200, Head: 1000, Count: 5}

// of makes a section of pairs of names and values.
func of(kind Kind, fields ...string) *Section {
	s := Take(kind, &limits)
	for i := 0; i < len(fields) && s.Add(fields[i], fields[i+1]); i += 2 {
	}
	return s
}

// head is the pseudo-fields of a request, and what is behind them.
func head(fields ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"}, fields...)
}

func TestOneSectionMeansOneThing(t *testing.T) {
	long := strings.Repeat("v", 150)
	for _, tt := range []struct {
		name   string
		kind   Kind
		fields []string
		want   string // "" for good, "malformed", or the status to answer with
	}{
		{"a request", Request, head("x", "y"), ""},
		{"a request with a protocol", Request, append(head(), ":protocol", "websocket"), "malformed"},
		{"a GET with a protocol", Extended, append(head(), ":protocol", "websocket"), "malformed"},
		{"a status in a request", Request, append(head(), ":status", "200"), "malformed"},
		{"a path longer than Line", Request, []string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/" + long}, "414"},
		{"a field longer than Field", Request, head("x", long+long), "431"},
		{"as many fields as Count", Request, head("a", "", "b", "", "c", "", "d", "", "e", ""), ""},
		{"more fields than Count", Request, head("a", "", "b", "", "c", "", "d", "", "e", "", "f", ""), "431"},
		{"fields longer than Head together", Request, head("a", long, "b", long, "c", long, "d", long, "e", long), "431"},
		{"malformed and too large", Request, head("X", long, "b", long, "c", long, "d", long, "e", long), "malformed"},
		{"a bad host", Request, []string{":method", "GET", ":scheme", "https", ":authority", "a b", ":path", "/"}, "400"},
		{"a response", Response, []string{":status", "200", "x", "y"}, ""},
		{"a path in a response", Response, []string{":status", "200", ":path", "/"}, "malformed"},
		{"a status of four digits", Response, []string{":status", "2000"}, "malformed"},
		{"a status that is no number", Response, []string{":status", "2x0"}, "malformed"},
		{"trailers", Trailers, []string{"x", "y"}, ""},
		{"a status in trailers", Trailers, []string{":status", "200"}, "malformed"},
	} {
		s := of(tt.kind, tt.fields...)
		var v Verdict
		switch tt.kind {
		case Response:
			v = s.Respond([]byte("GET"), true)
		case Trailers:
			_, v = s.Trailers()
		default:
			v = s.Request(new(http1.Request), true)
		}
		got := ""
		if v.Malformed {
			got = "malformed"
		} else if v.Fault != nil {
			got = fmt.Sprint(v.Fault.Status)
		}
		if got != tt.want {
			t.Errorf("%s: %q (%v), expected %q", tt.name, got, v.Fault, tt.want)
		}
		s.Give()
	}
}

func TestAWarmSectionIsJudgedWithoutAllocation(t *testing.T) {
	fields := head("cookie", "a=b", "x", "y", "cookie", "c=d")
	var q http1.Request
	if n := testing.AllocsPerRun(100, func() {
		s := Take(Request, &limits)
		for i := 0; i < len(fields); i += 2 {
			s.Add(fields[i], fields[i+1])
		}
		if v := s.Request(&q, true); v.Fault != nil {
			t.Fatal(v.Fault)
		}
		s.Give()
	}); n >= 1 { // A pool forgets now and then.
		t.Errorf("%v allocations", n)
	}
}

// FuzzHead decodes any block as a request head; what is accepted is a request in
// HTTP/1.1, too, with the same meaning.
func FuzzHead(f *testing.F) {
	for _, fields := range [][]string{
		head("x", "y"),
		head("content-length", "10", "cookie", "a", "cookie", "b"),
		head("connection", "close", "Upper", " x "),
		{":method", "CONNECT", ":authority", "a:443"},
		{":method", "OPTIONS", ":path", "*", ":scheme", "https", "host", "h"},
	} {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		for i := 0; i < len(fields); i += 2 {
			enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		f.Add(block.Bytes(), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, ended bool) {
		if len(b) > 10000 {
			return
		}
		lim := http1.Limits{Line: 16 << 10, Field: 16 << 10, Head: 64 << 10, Count: 256}
		s := Take(Extended, &lim)
		defer s.Give()
		var fields []hpack.HeaderField
		dec := hpack.NewDecoder(4096, nil)
		dec.SetEmitFunc(func(f hpack.HeaderField) {
			fields = append(fields, f)
			if !s.Add(f.Name, f.Value) {
				dec.SetEmitEnabled(false)
			}
		})
		if _, err := dec.Write(b); err != nil || dec.Close() != nil {
			return
		}
		var q http1.Request
		v := s.Request(&q, ended)
		if v.Malformed && v.Fault == nil || v.Fault != nil && (v.Fault.Status < 400 || v.Fault.Reason == "") {
			t.Fatalf("%+v", v)
		}
		if v.Fault != nil || s.Protocol() != nil {
			return
		}
		var line bytes.Buffer
		fmt.Fprintf(&line, "%s %s HTTP/1.1\r\nhost: %s\r\n", q.Method, q.Target, q.Host)
		for _, f := range fields {
			if f.Name[0] != ':' && f.Name != "host" {
				fmt.Fprintf(&line, "%s: %s\r\n", f.Name, f.Value)
			}
		}
		line.WriteString("\r\n")
		var parsed http1.Request
		if _, err := parsed.Parse(line.Bytes(), http1.Limits{Line: 1 << 20, Field: 1 << 20, Head: 1 << 20, Count: 10000}); err != nil {
			t.Fatalf("%q is accepted, in HTTP/1.1 it is %v", line.String(), err)
		}
		if !bytes.Equal(parsed.Path, q.Path) || !bytes.Equal(parsed.Query, q.Query) || !bytes.Equal(parsed.Host, q.Host) {
			t.Errorf("%q %q %q, in HTTP/1.1 %q %q %q", q.Path, q.Query, q.Host, parsed.Path, parsed.Query, parsed.Host)
		}
		cookies := 0
		for _, f := range q.Fields {
			if f.Kind == http1.Cookie {
				cookies++
			}
		}
		if cookies > 1 || len(q.Fields) > len(fields) {
			t.Errorf("%d cookies, %d fields of %d", cookies, len(q.Fields), len(fields))
		}
	})
}
