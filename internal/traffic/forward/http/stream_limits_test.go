package http_test

import (
	"io"
	nethttp "net/http"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"

	"countersign.dev"
)

// A body that stops, and one that is too large, are refused while they come.
func TestABodyOverHTTP2ThatIsNotTaken(t *testing.T) {
	for _, version := range []string{v1, v2} {
		for _, tt := range []struct {
			name   string
			change func(*setup)
			fields []string
			body   string
			code   countersign.Code
			status int
		}{
			{"too long as announced", limited, []string{"content-length", "11"}, "", countersign.BodyTooLarge, 413},
			{"too long as it turns out", limited, nil, "01234567890", countersign.BodyTooLarge, 413},
			{"that does not end", short("idle"), nil, "abc", countersign.RequestTimeout, 408},
		} {
			t.Run(tt.name+" "+strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
				whole := make(chan bool, 1)
				b := start(t, []string{goServer(t, version, func(w nethttp.ResponseWriter, r *nethttp.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						whole <- true
					}
				})}, pair{v2, version}.setup, tt.change)
				p := b.dial2()
				p.head(1, false, append(post2, tt.fields...)...)
				if tt.body != "" {
					p.data(1, false, tt.body)
				}
				a := p.answered(1)
				if a.status != tt.status || a.err != nil || !strings.Contains(a.body, string(tt.code)) {
					t.Errorf("%+v", a)
				}
				// RFC 9113 section 8.1: the rest is not wanted.
				if f := p.await(t, h2.FrameRSTStream); f.code != h2.ErrCodeNo {
					t.Errorf("%v", f)
				}
				none(t, whole, "the target got a whole request")
			})
		}
	}
}

// A target over HTTP/2 that does not answer, or stops within the answer.
func TestATargetOverHTTP2ThatIsSilent(t *testing.T) {
	for name, tt := range map[string]struct {
		part   func(*peer)
		status int
	}{
		"not a byte": {func(*peer) {}, 504},
		"interim":    {func(p *peer) { p.head(1, false, ":status", "103") }, 504},
		"in a body":  {func(p *peer) { p.head(1, false, ":status", "200"); p.data(1, false, "abc") }, 200},
	} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []string{v1, v2} {
				told := make(chan h2.ErrCode, 1)
				b := start(t, []string{target2(t, func(p *peer) {
					p.next()
					tt.part(p)
					f, _ := p.next()
					told <- f.code
					p.next()
				})}, pair{version, v2}.setup, short("wait"))
				a := b.ask(version)
				if a.status != tt.status || (a.err != nil) != (tt.status == 200) {
					if version == v2 || name != "interim" { // net/http takes it for the answer
						t.Errorf("%s: %+v", version, a)
					}
				}
				b.ends(countersign.TargetTimeout)
				if code := receive(t, told, "word of it at the target"); code != h2.ErrCodeCancel {
					t.Errorf("the target was told %v", code)
				}
			}
		})
	}
}

// A target over HTTP/2 that does not read its connection any more: neither the
// exchange that finds out nor those behind it wait for longer than for an answer.
func TestATargetOverHTTP2ThatDoesNotRead(t *testing.T) {
	for _, version := range []string{v1, v2} {
		t.Run(strings.ReplaceAll(version, "/", ""), func(t *testing.T) {
			over := make(chan bool)
			b := start(t, []string{target2(t, func(p *peer) {
				p.frames.WriteWindowUpdate(0, 1<<30)
				p.next()
				<-over
			}, h2.Setting{ID: h2.SettingInitialWindowSize, Val: 1<<31 - 1})}, pair{version, v2}.setup, short("wait"))
			defer close(over)
			for range 2 {
				var a answered
				sent := make(chan bool)
				if version == v1 {
					c := b.dial()
					c.write("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
					go func() { defer close(sent); io.CopyN(c, zeros{}, 100000000) }()
					a = c.answered()
					c.Close()
				} else {
					close(sent)
					resp, err := b.goClient(v2).Do(request(t, "POST", "/", io.LimitReader(zeros{}, 100000000)))
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					a.status = resp.StatusCode
				}
				<-sent
				if a.status != 504 {
					t.Errorf("%+v", a)
				}
				b.ends(countersign.TargetTimeout)
			}
		})
	}
}
