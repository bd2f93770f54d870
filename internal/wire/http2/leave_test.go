package http2

import (
	"io"
	"testing"

	"golang.org/x/net/http2"
)

// RFC 9113 section 6.8: a connection that is in use when GoAway is called may
// have further requests under way to it, whether or not the open stream has ended
// by the time that GOAWAY is written.
func TestGoAwayWhileAStreamIsOpenServesWhatIsUnderWay(t *testing.T) {
	a, b := sockets(t)
	c := New(b, Config{})
	ended := make(chan error, 1)
	go func() {
		first := true
		ended <- c.Serve(0, func(s *Stream) {
			if first {
				first = false
				c.GoAway()
			}
			s.WriteHead(response(200), End)
			s.Close()
		})
	}()
	t.Cleanup(c.Abort)
	r := newRaw(t, a)
	io.WriteString(a, preface)
	r.WriteSettings()
	r.headers(1, true, head("GET")...)

	said := false
	for answered := 0; answered < 2; {
		switch f := r.next(false).(type) {
		case *http2.GoAwayFrame:
			if !said && show(f) != "GOAWAY 2147483647 NO_ERROR" {
				t.Fatal(show(f))
			}
			if !said {
				r.headers(3, true, head("GET")...) // sent before it knew
			}
			said = true
		case *http2.PingFrame:
			r.WritePing(true, f.Data)
		case *http2.HeadersFrame:
			answered++
		}
	}
	if err := <-ended; err != io.EOF {
		t.Errorf("Serve returned %v, expected EOF", err)
	}
}
