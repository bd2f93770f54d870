package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"countersign.dev"
)

// A Checker asks one target once whether it is well. Implementations are safe
// for concurrent use: one Checker serves all targets of a group.
type Checker interface {
	// Check asks the target at address (host:port) over one fresh connection,
	// closed on return. It is over when ctx is.
	Check(ctx context.Context, address string) Result
}

// A Result is the outcome of one check. The zero value is a bad one.
type Result struct {
	OK     bool
	Code   Code   // "" if OK
	Reason string // in words, for the operator; "" if OK
}

// A Code is a TargetHealthReasonEnum of the AWS API.
type Code string

const (
	InitialHealthChecking    Code = "Elb.InitialHealthChecking"
	ResponseCodeMismatch     Code = "Target.ResponseCodeMismatch"
	Timeout                  Code = "Target.Timeout"
	FailedHealthChecks       Code = "Target.FailedHealthChecks"
	HealthCheckDisabled      Code = "Target.HealthCheckDisabled"
	DeregistrationInProgress Code = "Target.DeregistrationInProgress"
)

// New returns the checker that c describes, or every fault of c.
func New(c Config) (Checker, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	switch c = c.WithDefaults(); c.Protocol {
	case "http", "https":
		return newHTTP(c)
	case "grpc":
		return newGRPC(c)
	case "tcp":
		return tcpCheck{c.door()}, nil
	case "tls":
		return tlsCheck{c.door()}, nil
	}
	return nil, fmt.Errorf("protocol: %q has no checker", c.Protocol)
}

// reasonLimit bounds the part of a reason that the target has a say in, in bytes.
const reasonLimit = 200

// failed puts a transport error into words. ctx tells a timeout from an error
// of the connection, for its end may close the connection under a read.
func failed(ctx context.Context, err error) Result {
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return Result{Code: Timeout, Reason: "Request timed out"}
	}
	why := err.Error()
	var dns *net.DNSError
	var errno syscall.Errno
	var denial *countersign.Denial // of package secure
	switch {
	case errors.As(err, &denial):
		why = denial.Reason
	case errors.As(err, &errno):
		why = errno.Error() // "connection refused", without the addresses that the log has anyway
	case errors.As(err, &dns):
		why = "cannot resolve " + dns.Name + ": " + dns.Err
	case errors.Is(err, io.EOF):
		why = "the target closed the connection without an answer"
	case errors.Is(err, io.ErrUnexpectedEOF):
		why = "the target closed the connection in the middle of its answer"
	}
	limit := reasonLimit // a parser quotes what the target sent
	if denial != nil {
		limit = 3 * reasonLimit // names, and what to do
	}
	if len(why) > limit {
		why = why[:limit] + "..."
	}
	return Result{Code: FailedHealthChecks, Reason: "Health checks failed: " + why}
}
