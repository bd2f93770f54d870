package health

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
)

// answerLimit bounds what is read of an answer, head and body together.
const answerLimit = 64 << 10

const userAgent = "countersign-health/1"

// httpCheck is well if a GET is answered with a status in the matcher before
// the check times out: the whole answer, or its first 64 KiB. Redirects are
// answers, they are not followed.
//
// The request is written by hand and the answer read on the caller's
// goroutine; http.Transport would leave goroutines behind that nobody waits for.
type httpCheck struct {
	door
	path, host string
	matcher    *Matcher
}

func newHTTP(c Config) (Checker, error) {
	m, err := ParseMatcher(c.Protocol, c.Matcher)
	if err != nil {
		return nil, err
	}
	h := httpCheck{door: c.door(), path: c.Path, host: c.Host, matcher: m}
	if c.HTTP2 {
		return &http2Check{h}, nil
	}
	return &h, nil
}

func (h *httpCheck) Check(ctx context.Context, address string) Result {
	conn, release, err := h.open(ctx, address)
	if err != nil {
		return failed(ctx, err)
	}
	defer release()
	if _, err := io.WriteString(conn, "GET "+h.path+" HTTP/1.1\r\nHost: "+h.authority(address)+
		"\r\nUser-Agent: "+userAgent+"\r\nAccept: */*\r\nConnection: close\r\n\r\n"); err != nil {
		return failed(ctx, err)
	}
	limited := &io.LimitedReader{R: conn, N: answerLimit}
	status, err := readAnswer(limited)
	return h.judge(ctx, status, limited.N <= 0, err)
}

// authority is what the request says whom it is for.
func (h *httpCheck) authority(address string) string { return cmp.Or(h.host, h.at(address)) }

// judge makes a result of the final status, 0 if there was none, and of how
// reading the answer ended; full: with what answerLimit leaves of it.
func (h *httpCheck) judge(ctx context.Context, status int, full bool, err error) Result {
	switch {
	case full && status == 0:
		return Result{Code: FailedHealthChecks, Reason: fmt.Sprintf("Health checks failed: the head of the answer is longer than %d bytes", answerLimit)}
	case err != nil && !full:
		return failed(ctx, err)
	case !h.matcher.Match(status):
		return Result{Code: ResponseCodeMismatch, Reason: fmt.Sprintf("Health checks failed with these codes: [%d]", status)}
	}
	return Result{OK: true}
}

// readAnswer reads an answer to its end and returns its final status, 0 if
// there was none.
func readAnswer(from io.Reader) (status int, err error) {
	r := bufio.NewReader(from)
	for {
		if _, err := r.Peek(1); err != nil {
			return 0, err // io.EOF here is a peer that said nothing
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0, err
		}
		if answer.StatusCode >= 200 { // an interim answer is not yet the answer (RFC 9110 section 15.2)
			_, err = io.Copy(io.Discard, answer.Body)
			return answer.StatusCode, err
		}
	}
}
