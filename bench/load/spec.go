package load

import (
	"fmt"
	"strings"
	"time"

	"countersign.dev/bench/credentials"
)

// A Spec says what is to be done.
type Spec struct {
	Kind        string // one of kinds
	Address     string // host:port of the server
	Root        string // PEM file with the root of its certificate
	Clients     []credentials.Client
	Connections int // at a time
	Streams     int // kind http2: in flight on each connection

	Path   string // of the requests
	Upload int    // bytes of each request's body; 0: a GET
	Answer int    // bytes that each answer must have
	Echo   int    // bytes that are to come back as they were sent, in place of requests; 0: requests

	Plain bool // kind keep-alive: without TLS

	Resume bool    // kind handshake: sessions are resumed; else each handshake is a full one
	Rate   float64 // kind paced: requests a second, all connections together
	Change *Change // kinds change and busy-change

	Warmup   time.Duration // of the same work, before it counts
	Duration time.Duration // of what counts; kind idle: of the silence
}

// A Result says what was done.
type Result struct {
	Operations  int64         `json:"operations"`
	Errors      int64         `json:"errors"`
	Error       string        `json:"error,omitempty"` // the first
	Connections int           `json:"connections"`     // still open
	Elapsed     time.Duration `json:"elapsed_ns"`
	P50         time.Duration `json:"p50_ns"`
	P99         time.Duration `json:"p99_ns"`
	Course      *Course       `json:"course,omitempty"` // of a change
}

// A job is a Spec whose connections are made and warm.
type job interface {
	// do does the work that counts.
	do() Result
	// finish makes sure that connections that should still be of use are, and
	// closes them.
	finish() error
}

// A kind of work is begun by making a job of a Spec.
type kind struct {
	name  string
	begin func(Spec) (job, error)
}

func kinds() []kind {
	return []kind{
		{"keep-alive", beginKeepAlive},
		{"http2", beginHTTP2},
		{"handshake", beginHandshake},
		{"paced", beginPaced},
		{"idle", beginIdle},
		{"change", beginChange},
		{"busy-change", beginBusyChange},
	}
}

func begin(s Spec) (job, error) {
	if s.Connections < 1 || len(s.Clients) < 1 {
		return nil, fmt.Errorf("%d connections, %d client certificates: want at least one of each", s.Connections, len(s.Clients))
	}
	var names []string
	for _, k := range kinds() {
		if k.name == s.Kind {
			return k.begin(s)
		}
		names = append(names, k.name)
	}
	return nil, fmt.Errorf("no kind of work is called %q: want one of %s", s.Kind, strings.Join(names, ", "))
}
