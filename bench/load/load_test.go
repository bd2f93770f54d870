package load

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPercentiles(t *testing.T) {
	var h, other histogram
	if h.percentile(50) != 0 {
		t.Error("nothing has a percentile")
	}
	for i := 1; i <= 1000; i++ {
		to := &h
		if i%2 == 0 {
			to = &other
		}
		to.record(time.Duration(i) * time.Microsecond)
	}
	h.add(&other)
	for p, want := range map[float64]time.Duration{0: 1, 50: 500, 99: 990, 99.9: 999, 100: 1000} {
		want *= time.Microsecond
		if got := h.percentile(p); got < want*99/100 || got > want*101/100 {
			t.Errorf("p%v = %s, want %s within one percent", p, got, want)
		}
	}
}

// Classes follow one another without a gap, and their middles lie in them.
func TestClasses(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 1<<16; d++ {
		c := class(d)
		if c != last && c != last+1 {
			t.Fatalf("class(%d) = %d after %d", d, c, last)
		}
		last = c
	}
	for _, d := range []time.Duration{0, 1, 127, 128, 255, 256, 1000, time.Millisecond, time.Hour, 1<<63 - 1} {
		if m := middle(class(d)); class(m) != class(d) {
			t.Errorf("the middle of the class of %d is %d, in another", d, m)
		}
	}
	if class(-1) != 0 {
		t.Error("a clock that went back has a class of its own")
	}
}

// A conversation answers whatever is written with prepared reads.
type conversation struct{ reads []string }

func (c *conversation) Write(p []byte) (int, error) { return len(p), nil }
func (c *conversation) Read(p []byte) (int, error) {
	if len(c.reads) == 0 {
		return 0, errors.New("the end")
	}
	n := copy(p, c.reads[0])
	if c.reads[0] = c.reads[0][n:]; c.reads[0] == "" {
		c.reads = c.reads[1:]
	}
	return n, nil
}

func TestAnswersAreChecked(t *testing.T) {
	big := strings.Repeat("b", 100_000)
	for name, c := range map[string]struct {
		reads  []string
		answer int
		want   string // of the error; "": none
	}{
		"whole":          {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"}, 3, ""},
		"in pieces":      {[]string{"HTTP/1.1 200 OK\r\nconte", "nt-length: 3\r", "\n\r\na", "b", "c"}, 3, ""},
		"large":          {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", big}, 100_000, ""},
		"refused":        {[]string{"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nabc"}, 3, "502"},
		"another length": {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"}, 3, "Content-Length 4"},
		"no length":      {[]string{"HTTP/1.1 200 OK\r\n\r\n"}, 3, "Content-Length -1"},
		"too much":       {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"}, 3, "1 bytes came after"},
		"cut off":        {[]string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"}, 3, "1 bytes before its end"},
		"no answer":      {nil, 3, "the end"},
		"closing":        {[]string{"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 3\r\n\r\nabc"}, 3, "to be kept"},
	} {
		err := newExchange([]byte("GET"), c.answer).on(&conversation{c.reads})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestEchoesAreChecked(t *testing.T) {
	sent := requestOf(Spec{Echo: 3})
	for name, c := range map[string]struct {
		reads []string
		want  string // of the error; "": none
	}{
		"whole":     {[]string{"\x00ee"}, ""},
		"in pieces": {[]string{"\x00", "ee"}, ""},
		"another":   {[]string{"\x00ex"}, "came back"},
		"cut off":   {[]string{"\x00e"}, "1 bytes before its end"},
		"an answer": {[]string{"HTTP/1.1 200 OK\r\n"}, "came back"},
	} {
		err := newExchange(sent, 0).on(&conversation{c.reads})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestWorkersStopAtTheirFirstError(t *testing.T) {
	calls := 0
	r := closed([]operation{
		func() error { return nil },
		func() error {
			if calls++; calls == 3 {
				return errors.New("three is enough")
			}
			return nil
		},
	}, 5*time.Millisecond)
	if calls != 3 || r.Errors != 1 || r.Error != "three is enough" || r.Operations < 3 || r.Elapsed <= 0 || r.Connections != 2 {
		t.Errorf("%d calls, %+v", calls, r)
	}
}

func TestTheProcessSaysWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                "EOF",
		`{"Kind":"idle"}`: "0 connections",
		`{"Kind":"dance","Connections":1,"Clients":[{}]}`:                        "dance",
		`{"Kind":"paced","Connections":1,"Clients":[{}]}`:                        "a rate of 0",
		`{"Kind":"keep-alive","Connections":1,"Clients":[{}],"Root":"/nowhere"}`: "/nowhere",
	} {
		var out bytes.Buffer
		if err := Main(strings.NewReader(in), &out); err == nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v, said %s, want %q", in, err, out.String(), want)
		}
	}
}
