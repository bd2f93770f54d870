package http2

import (
	"testing"
	"time"
)

// A client that still sends when it has its answer is heard out, if that is soon.
func TestAClientThatStillSendsIsHeardOut(t *testing.T) {
	// RFC 9113 section 8.1.
	answered := make(chan struct{})
	r, _ := rawClient(t, Config{}, func(s *Stream) {
		if err := s.WriteHead(response(413), End); err != nil {
			t.Error(err)
		}
		close(answered)
		s.Linger(patience)
	})
	r.headers(1, false, head("POST")...)
	r.expect("HEADERS 1 end=true")
	<-answered
	r.WriteData(1, false, []byte("more"))
	r.WriteData(1, true, []byte("and the end"))
	if got := r.outcome(); got != "nothing" {
		t.Errorf("%s, expected no reset", got)
	}
}

// One that does not end is reset: the code says that nothing is wrong.
func TestAClientThatGoesOnSendingIsReset(t *testing.T) {
	// RFC 9113 section 8.1.
	r, _ := rawClient(t, Config{}, func(s *Stream) {
		if err := s.WriteHead(response(413), End); err != nil {
			t.Error(err)
		}
		s.Linger(10 * time.Millisecond)
	})
	r.headers(1, false, head("POST")...)
	r.expect("HEADERS 1 end=true")
	r.expect("RST_STREAM 1 NO_ERROR")
}
