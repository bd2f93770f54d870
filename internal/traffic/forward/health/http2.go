package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2"
)

// An ask is a request over HTTP/2: with prior knowledge (RFC 9113 section 3.3), or
// agreed upon by ALPN.
type ask struct {
	door
	method, authority, path string
	fields                  [][2]string
	content                 []byte
}

// Encode makes an ask the head of itself.
func (a *ask) Encode(e *http2.Encoder) {
	scheme := "http"
	if a.tls != nil {
		scheme = "https"
	}
	e.Request([]byte(a.method), []byte(scheme), []byte(a.authority), []byte(a.path), nil)
	for _, f := range a.fields {
		e.Field([]byte(f[0]), []byte(f[1]))
	}
}

// An answer is what of the response to an ask concerns health.
type answer struct {
	status            int
	contentType, grpc string // Content-Type, Grpc-Status in the head or the trailer
	content           []byte // its first bytes
	full              bool   // there was more than answerLimit, which was not read
}

// contentKept is how much of a response's content an answer holds, in bytes.
const contentKept = 4 << 10

// of sends the request to address over a fresh connection and reads the answer
// to its end, or up to answerLimit. What was read comes with an error too.
func (a *ask) of(ctx context.Context, address string) (got answer, err error) {
	conn, release, err := a.open(ctx, address)
	if err != nil {
		return got, err
	}
	defer release()
	c := http2.New(conn, http2.Config{Client: true, Limits: http1.Limits{Field: answerLimit, Head: answerLimit}})
	var served sync.WaitGroup
	served.Go(func() { c.Serve(time.Hour, nil) }) // what ends it, the stream is told too
	defer served.Wait()
	defer c.GoAway()        // with no stream open that ends Serve
	s, err := c.NewStream() // what the target said may have ended the connection by now
	if err == nil {
		defer s.Close()
		got, err = a.exchange(s)
	}
	if err == nil {
		return got, nil
	}
	select {
	case <-c.Settled():
	default:
		if fault, ok := errors.AsType[*http2.ConnError](err); ok && !fault.Remote {
			return got, fmt.Errorf("the target does not speak HTTP/2 with prior knowledge: %s", fault.Reason)
		}
	}
	if errors.Is(err, io.EOF) && got.status != 0 {
		err = io.ErrUnexpectedEOF
	}
	return got, err
}

// forever is the patience with a target: the end of the check's context closes
// the connection.
const forever = 0

func (a *ask) exchange(s *http2.Stream) (got answer, err error) {
	head := http2.Flag(0)
	if a.content == nil {
		head = http2.End
	}
	err = s.WriteHead(a, head)
	if err == nil && a.content != nil {
		err = s.Write(a.content, http2.End, forever)
	}
	// A target may answer before it has heard everything, and have us say no more: its
	// answer counts (RFC 9113 section 8.1).
	unsaid := err
	for got.status < 200 { // an interim answer is not yet the answer (RFC 9110 section 15.2)
		if err := s.ReadHead(forever); err != nil {
			return got, cmp.Or(unsaid, err)
		}
		if s.Response.Status >= 200 {
			got.status = s.Response.Status
			got.note(s.Response.Fields)
		} else if s.Received() > answerLimit {
			got.full = true
			return got, nil
		}
	}
	for p := make([]byte, 4<<10); ; {
		n, err := s.Read(p, forever)
		got.content = append(got.content, p[:min(n, contentKept-len(got.content))]...)
		switch {
		case err == io.EOF:
			got.note(s.Trailers())
			return got, nil
		case err != nil:
			return got, err
		case s.Received() > answerLimit:
			got.full = true
			return got, nil
		}
	}
}

func (a *answer) note(fields []http1.Field) {
	for _, f := range fields {
		switch strings.ToLower(string(f.Name)) {
		case "content-type":
			a.contentType = string(f.Value)
		case "grpc-status":
			a.grpc = string(f.Value)
		}
	}
}

// http2Check is httpCheck over HTTP/2.
type http2Check struct{ httpCheck }

func (h *http2Check) Check(ctx context.Context, address string) Result {
	request := &ask{door: h.door, method: "GET", authority: h.authority(address), path: h.path,
		fields: [][2]string{{"user-agent", userAgent}, {"accept", "*/*"}}}
	got, err := request.of(ctx, address)
	return h.judge(ctx, got.status, got.full, err)
}
