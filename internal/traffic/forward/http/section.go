package http

import (
	"bytes"
	nethttp "net/http"
	"slices"
	"strconv"
	"time"

	"countersign.dev/internal/wire/http1"
	"countersign.dev/internal/wire/http2"
)

// The heads that leave over HTTP/2, each a view of its exchange.
type (
	requestHead     Exchange
	requestTrailers Exchange
	answerHead      Exchange
	answerTrailers  Exchange
)

// Encode is http2.Head's: what appendRequest writes for HTTP/1.1.
func (h *requestHead) Encode(enc *http2.Encoder) {
	e := (*Exchange)(h)
	q := e.Request
	e.scratch = append(e.scratch[:0], q.Path...)
	if q.HasQuery {
		e.scratch = append(e.scratch, '?')
		e.scratch = append(e.scratch, q.Query...)
	}
	at := len(e.scratch)
	e.scratch = e.appendHost(e.scratch)
	end := len(e.scratch)
	method, protocol := q.Method, []byte(nil)
	if e.switching {
		method, protocol = methodConnect, protocolWebSocket
	}
	scheme := schemeHTTP
	if e.result.Target.Secure() {
		scheme = schemeHTTPS
	}
	enc.Request(method, scheme, e.scratch[at:end], e.scratch[:at], protocol)
	for i := range q.Fields {
		switch fl := &q.Fields[i]; {
		case fl.Kind == http1.TE:
			if http1.HasToken(fl.Value, trailersOption) { // RFC 9113 section 8.2.2
				enc.Field(fl.Name, trailersOption)
			}
		case e.switching && isChallenge(fl):
		case e.toTarget(fl):
			enc.Field(fl.Name, fl.Value)
		}
	}
	encodeLines(enc, e.terms.Identity)
	encodeLines(enc, e.terms.Statement)
	e.scratch = e.appendForwarded(e.scratch[:0])
	encodeLines(enc, e.scratch)
	if q.HasContentLength && !e.switching {
		e.scratch = strconv.AppendInt(e.scratch[:0], q.ContentLength, 10)
		enc.Field(contentLength, e.scratch)
	}
}

var (
	methodConnect  = []byte("CONNECT")
	schemeHTTP     = []byte("http")
	schemeHTTPS    = []byte("https")
	trailersOption = []byte("trailers")
	contentLength  = []byte("content-length")
	dateName       = []byte("date")
	setCookie      = []byte("set-cookie")
	varyName       = []byte("vary")
	star           = []byte("*")

	protocolWebSocket = []byte(websocket)
)

// encodeLines encodes field lines as HTTP/1.1 has them.
func encodeLines(enc *http2.Encoder, lines []byte) {
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, crlf)
		name, value, _ := bytes.Cut(line, colon)
		enc.Field(name, value)
		lines = rest
	}
}

var crlf, colon = []byte("\r\n"), []byte(": ")

// Encode is http2.Head's.
func (h *requestTrailers) Encode(enc *http2.Encoder) {
	e := (*Exchange)(h)
	fields := e.source.trailers(e)
	for i := range fields {
		if fl := &fields[i]; e.trailsToTarget(fl) {
			enc.Field(fl.Name, fl.Value)
		}
	}
}

// requestTrails reports whether trailers follow the content of the request.
func (e *Exchange) requestTrails() bool {
	return slices.ContainsFunc(e.source.trailers(e), func(fl http1.Field) bool { return e.trailsToTarget(&fl) })
}

// Encode is http2.Head's: what appendResponse writes for HTTP/1.1.
func (h *answerHead) Encode(enc *http2.Encoder) {
	e := (*Exchange)(h)
	p := e.response
	status := p.Status
	if e.frame == switching {
		status = 200 // RFC 8441 section 5
	}
	enc.Status(status)
	dated := false
	for i := range p.Fields {
		switch fl := &p.Fields[i]; {
		case !e.toClient(fl, e.frame), e.frame == switching && isChallenge(fl):
		case fl.Kind == http1.Vary && e.set.Identity.VaryNeedsStar(fl.Value):
			enc.Field(varyName, star)
		default:
			dated = dated || fl.Kind == http1.Date
			enc.Field(fl.Name, fl.Value)
		}
	}
	if len(e.cookie) > 0 && status >= 200 {
		enc.Field(setCookie, e.cookie)
	}
	if len(e.settled) > 0 && status >= 200 {
		enc.Field(setCookie, e.settled)
	}
	if !dated && status >= 200 {
		enc.Field(dateName, e.date())
	}
	if e.frame == byLength {
		e.scratch = strconv.AppendInt(e.scratch[:0], p.ContentLength, 10)
		enc.Field(contentLength, e.scratch)
	}
}

// Encode is http2.Head's.
func (h *answerTrailers) Encode(enc *http2.Encoder) {
	e := (*Exchange)(h)
	fields := e.answering.trailers()
	for i := range fields {
		if fl := &fields[i]; !e.response.Hop(fl) {
			enc.Field(fl.Name, fl.Value)
		}
	}
}

// answerTrails reports whether trailers follow the content of the answer.
func (e *Exchange) answerTrails() bool {
	return slices.ContainsFunc(e.answering.trailers(), func(fl http1.Field) bool { return !e.response.Hop(&fl) })
}

// A refusalHead is the head of an answer of our own.
type refusalHead struct {
	*refusal
	e *Exchange
}

// Encode is http2.Head's.
func (h *refusalHead) Encode(enc *http2.Encoder) {
	if h.grpc {
		// A gRPC client looks at the trailers, here alone, not at the status of HTTP.
		enc.Status(200)
		enc.Field([]byte("content-type"), []byte("application/grpc"))
		status := grpcStatus(h.status)
		if status == grpcUnavailable && callIsOver(h.e.Request, h.e.clock.Sub(h.e.started)) {
			status = grpcDeadlineExceeded // a target that knows of the deadline ends the call, too
		}
		enc.Field([]byte("grpc-status"), strconv.AppendInt(nil, int64(status), 10))
		enc.Field([]byte("grpc-message"), []byte(h.title+" ("+string(h.code)+")"))
		return
	}
	enc.Status(h.status)
	if h.kind != "" {
		enc.Field([]byte("content-type"), []byte(h.kind))
	}
	if h.status != nethttp.StatusNoContent {
		enc.Field(contentLength, strconv.AppendInt(nil, int64(len(h.body)), 10))
	}
	if !h.lasting {
		enc.Field([]byte("cache-control"), []byte("no-store"))
	}
	enc.Field(dateName, h.e.date())
	if h.status == nethttp.StatusMethodNotAllowed && !h.own {
		enc.Field([]byte("allow"), []byte(allowed))
	}
	for _, f := range h.fields {
		enc.Field(bytes.ToLower([]byte(f[0])), []byte(f[1]))
	}
}

// isGRPC reports whether the client speaks gRPC.
func isGRPC(q *http1.Request) bool {
	kind := http1.Find(q.Fields, http1.ContentType)
	const grpc = "application/grpc"
	if kind == nil || len(kind.Value) < len(grpc) || !http1.FoldEqual(kind.Value[:len(grpc)], grpc) {
		return false
	}
	rest := kind.Value[len(grpc):]
	return len(rest) == 0 || rest[0] == '+' || rest[0] == ';'
}

// callIsOver reports whether a call that has taken so long has met the deadline that
// its client has given it
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Timeout).
func callIsOver(q *http1.Request, taken time.Duration) bool {
	for i := range q.Fields {
		f := &q.Fields[i]
		if f.Kind != http1.Other || !http1.FoldEqual(f.Name, "grpc-timeout") {
			continue
		}
		last := len(f.Value) - 1
		if last < 1 || last > 8 {
			return false
		}
		n, err := strconv.ParseUint(string(f.Value[:last]), 10, 32)
		unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second,
			'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[f.Value[last]]
		return err == nil && unit > 0 && uint64(taken/unit) >= n
	}
	return false
}

const (
	grpcDeadlineExceeded = 4
	grpcUnavailable      = 14
)

// grpcStatus is what a status of HTTP is to gRPC
// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md),
// with what that leaves unknown where gRPC has a word for it.
func grpcStatus(status int) int {
	switch status {
	case 400:
		return 13 // INTERNAL
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404, 405, 501:
		return 12 // UNIMPLEMENTED
	case 413, 431:
		return 8 // RESOURCE_EXHAUSTED
	case 429, 502, 503, 504:
		return grpcUnavailable
	case 408, 460:
		return 1 // CANCELLED
	}
	return 2 // UNKNOWN
}
