package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Problem is why there is no certificate (RFC 9457), or none yet.
type Problem struct {
	Title string `json:"title"` // in words
	// Status is that of HTTP. 202: not yet.
	Status int `json:"status"`
	// Code is for programs: DeviceNotProvisioned, EnrollmentClaimFailed.
	Code string `json:"code"`
	// RetryAfter is when to come again; 0: not to.
	RetryAfter time.Duration `json:"-"`
}

// Error says what the gateway says.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%s (%d %s)", p.Title, p.Status, p.Code)
	if p.RetryAfter > 0 {
		text += fmt.Sprintf("; come again in %s", p.RetryAfter)
	}
	return text
}

// CodeOf is the code of the Problem in err; "" where there is none.
func CodeOf(err error) string {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Code
	}
	return ""
}

// longestTold is how long a device lets itself be told to wait.
const longestTold = 24 * time.Hour

// problemOf is what an answer says that is no certificate.
func problemOf(r *http.Response, body []byte, now time.Time) *Problem {
	p := &Problem{}
	if err := json.Unmarshal(body, p); err != nil || p.Code == "" {
		text := strings.Join(strings.Fields(string(body[:min(len(body), 200)])), " ")
		p = &Problem{Title: fmt.Sprintf("%s answers what no enrollment says: %q; is the URL that of the gateway?", r.Request.URL, text), Code: "NoEnrollment"}
	}
	p.Status = r.StatusCode
	p.RetryAfter = retryAfter(r.Header.Get("Retry-After"), now)
	return p
}

// retryAfter reads a field of RFC 9110 section 10.2.3: seconds, or a date.
func retryAfter(field string, now time.Time) time.Duration {
	if field == "" {
		return 0
	}
	wait := longestTold
	if seconds, err := strconv.ParseUint(field, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(field); err == nil {
		wait = at.Sub(now)
	} else if strings.Trim(field, "0123456789") != "" {
		return 0
	}
	return min(max(wait, time.Second), longestTold)
}
