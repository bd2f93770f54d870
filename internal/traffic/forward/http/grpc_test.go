package http_test

import (
	"slices"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
)

// rpc2 are the fields of a gRPC call (gRPC over HTTP2, "Requests").
var rpc2 = []string{":method", "POST", ":scheme", "https", ":authority", "h", ":path", "/pkg.Service/Method",
	"te", "trailers", "content-type", "application/grpc+proto", "grpc-timeout", "1S"}

// A call goes through message by message, and ends with trailers.
func TestACallOfGRPC(t *testing.T) {
	heads := make(chan frame, 1)
	address := target2(t, func(p *peer) {
		f, err := p.next()
		if err != nil {
			return
		}
		heads <- f
		p.head(f.id, false, ":status", "200", "content-type", "application/grpc+proto")
		for {
			f, err := p.next()
			if err != nil {
				return
			}
			if f.data != "" {
				p.data(f.id, false, "re: "+f.data)
			}
			if f.end {
				break
			}
		}
		p.head(f.id, true, "grpc-status", "0", "grpc-message", "fine")
		p.next()
	})
	b := start(t, []string{address}, pair{v2, v2}.setup, func(s *setup) { s.group.Protocol = "grpc" })
	p := b.dial2()
	p.head(1, false, rpc2...)
	if f := p.await(t, h2.FrameHeaders); f.get(":status") != "200" || f.end {
		t.Errorf("%v", f)
	}
	for _, message := range []string{"one", "two", "three"} { // each is answered before the next is sent
		p.data(1, false, message)
		if f := p.await(t, h2.FrameData); f.data != "re: "+message || f.end {
			t.Errorf("%v", f)
		}
	}
	p.data(1, true, "")
	f := p.await(t, h2.FrameHeaders)
	if !f.end || f.get("grpc-status") != "0" || f.get("grpc-message") != "fine" {
		t.Errorf("%v", f)
	}
	h := receive(t, heads, "the call")
	for i := 8; i < len(rpc2); i += 2 {
		if h.get(rpc2[i]) != rpc2[i+1] {
			t.Errorf("the target got %v", h)
		}
	}
	if res := b.result(); res.Denial != nil || res.Status != 200 {
		t.Errorf("%+v", res)
	}
}

// An answer that is trailers alone stays so: the client looks there.
func TestATrailersOnlyAnswerOfGRPC(t *testing.T) {
	want := []string{":status: 200", "content-type: application/grpc", "grpc-status: 5", "grpc-message: gone", "date: Sun, 22 Nov 2026 03:00:00 GMT"}
	b := start(t, []string{target2(t, func(p *peer) {
		p.next()
		p.head(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "gone", "date", date[6:])
		p.next()
	})}, pair{v2, v2}.setup)
	p := b.dial2()
	p.head(1, false, rpc2...)
	heads, body, err := p.message(1)
	if err != nil || body != "" || len(heads) != 1 || !slices.Equal(heads[0].list(), want) {
		t.Errorf("%v %q, %v", heads, body, err)
	}
	b.result()
}

// A refusal is one that a gRPC client understands (gRPC over HTTP2, "Responses":
// trailers only), whatever went wrong.
func TestARefusalOfGRPC(t *testing.T) {
	for _, tt := range []struct {
		name, status string
		fields       []string
		target       func(*testing.T) []string
		code         countersign.Code
		refused      bool // before it is forwarded
	}{
		{"no target", "14", rpc2, func(*testing.T) []string { return nil }, countersign.NoHealthyTarget, false},
		{"nobody there", "14", rpc2, func(t *testing.T) []string { return []string{nobody(t)} }, countersign.TargetConnectFailed, false},
		{"a target that closes", "14", rpc2, func(t *testing.T) []string { return []string{target2(t, func(p *peer) { p.next() })} }, countersign.TargetClosed, false},
		{"a body too long", "8", append(slices.Clone(rpc2), "content-length", "11"), func(*testing.T) []string { return nil }, countersign.BodyTooLarge, true},
		{"an expectation", "2", append(slices.Clone(rpc2), "expect", "x"), func(*testing.T) []string { return nil }, countersign.ExpectationFailed, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, tt.target(t), pair{v2, v2}.setup, limited, func(s *setup) { s.group.Attempts = 1 })
			p := b.dial2()
			p.head(1, false, tt.fields...)
			f := p.await(t, h2.FrameHeaders)
			if !f.end || f.get(":status") != "200" || f.get("content-type") != "application/grpc" || f.get("grpc-status") != tt.status ||
				!strings.HasSuffix(f.get("grpc-message"), "("+string(tt.code)+")") {
				t.Errorf("%v, want grpc-status %s", f, tt.status)
			}
			if f := p.await(t, h2.FrameRSTStream); f.code != h2.ErrCodeNo {
				t.Errorf("%v", f)
			}
			if tt.refused {
				b.refused(tt.code)
			} else {
				b.ends(tt.code)
			}
		})
	}
}

// What only looks like it is no gRPC.
func TestARefusalOfWhatIsNoGRPC(t *testing.T) {
	for _, kind := range []string{"application/grpc-web", "application/grpcx", "application/json", "text/plain; application/grpc"} {
		b := start(t, nil, pair{v2, v2}.setup)
		p := b.dial2()
		p.head(1, true, append(slices.Clone(post2), "content-type", kind)...)
		if a := p.answered(1); a.status != 503 || a.body == "" {
			t.Errorf("%s: %+v", kind, a)
		}
	}
}

// A call over HTTP/1.1 has no trailers to look at; it is refused as any request.
func TestARefusalOfGRPCOverHTTP1(t *testing.T) {
	answer := start(t, nil).send("POST /s/m HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 503 ") {
		t.Errorf("%q", answer)
	}
}
