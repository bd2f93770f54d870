package health

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// StandardService is the method of the health service that gRPC servers have
// by convention (github.com/grpc/grpc-proto, grpc/health/v1/health.proto).
const StandardService = "/grpc.health.v1.Health/Check"

// grpcCheck is well if a unary call with an empty message ends with a code in
// the matcher and, where StandardService says OK, its answer says SERVING.
type grpcCheck struct {
	door
	path, host string
	matcher    *Matcher
}

func newGRPC(c Config) (Checker, error) {
	m, err := ParseMatcher(c.Protocol, c.Matcher)
	if err != nil {
		return nil, err
	}
	return &grpcCheck{door: c.door(), path: c.Path, host: c.Host, matcher: m}, nil
}

func (g *grpcCheck) Check(ctx context.Context, address string) Result {
	// PROTOCOL-HTTP2.md of gRPC, "Requests". The message is empty: of
	// HealthCheckRequest that is the server as a whole.
	call := &ask{method: "POST", door: g.door, authority: cmp.Or(g.host, g.at(address)), path: g.path, content: make([]byte, prefixed),
		fields: [][2]string{{"te", "trailers"}, {"content-type", "application/grpc"}, {"user-agent", userAgent}}}
	got, err := call.of(ctx, address)
	if err != nil {
		return failed(ctx, err)
	}
	return g.judge(got)
}

func (g *grpcCheck) judge(got answer) Result {
	unwell := func(format string, args ...any) Result {
		return Result{Code: FailedHealthChecks, Reason: "Health checks failed: " + fmt.Sprintf(format, args...)}
	}
	switch {
	case got.full:
		return unwell("the answer is longer than %d bytes", answerLimit)
	case got.grpc == "" && got.status != 200:
		return Result{Code: ResponseCodeMismatch, Reason: fmt.Sprintf("Health checks failed: the answer has HTTP status %d and no grpc-status", got.status)}
	case !isGRPC(got.contentType):
		return unwell("the answer is not gRPC, its content-type is %.60q", got.contentType)
	case got.grpc == "":
		return unwell("the answer has no grpc-status")
	}
	status, err := strconv.ParseUint(got.grpc, 10, 16)
	switch {
	case err != nil:
		return unwell("the grpc-status is %.60q, not a number", got.grpc)
	case !g.matcher.Match(int(status)):
		return Result{Code: ResponseCodeMismatch, Reason: fmt.Sprintf("Health checks failed with these codes: [%d]", status)}
	case status != 0 || g.path != StandardService:
		return Result{OK: true}
	}
	serving, err := readServing(got.content)
	if err != nil {
		return unwell("%v", err)
	}
	if serving != 1 {
		return Result{Code: ResponseCodeMismatch, Reason: "Health checks failed: the target says " + servingName(serving)}
	}
	return Result{OK: true}
}

// isGRPC reports whether contentType is application/grpc, with a message format
// or a parameter perhaps; application/grpc-web is another protocol.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(contentType), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// prefixed is the length of what is in front of a gRPC message: a flag that
// says whether it is compressed, and its length.
const prefixed = 5

// readServing returns HealthCheckResponse.status from the content of an answer:
// a single message.
func readServing(content []byte) (uint64, error) {
	if len(content) < prefixed || uint64(len(content)-prefixed) != uint64(binary.BigEndian.Uint32(content[1:])) {
		return 0, fmt.Errorf("the answer is not one gRPC message of at most %d bytes", contentKept-prefixed)
	}
	if content[0] != 0 {
		return 0, errors.New("the answer is compressed, which was not offered")
	}
	serving, ok := statusField(content[prefixed:])
	if !ok {
		return 0, errors.New("the message in the answer is no HealthCheckResponse")
	}
	return serving, nil
}

// statusField reads field 1 of a message, an enumeration; others are skipped,
// for a later version of the service may have them
// (protobuf.dev/programming-guides/encoding). Absent means 0, UNKNOWN.
func statusField(m []byte) (status uint64, ok bool) {
	for len(m) > 0 {
		tag, n := binary.Uvarint(m)
		if n <= 0 || tag>>3 == 0 {
			return 0, false
		}
		m = m[n:]
		skip := uint64(0)
		switch tag & 7 {
		case 0: // varint
			v, n := binary.Uvarint(m)
			if n <= 0 {
				return 0, false
			}
			if tag>>3 == 1 {
				status = v
			}
			skip = uint64(n)
		case 1: // 64 bits
			skip = 8
		case 2: // a length, and so many bytes
			v, n := binary.Uvarint(m)
			if n <= 0 {
				return 0, false
			}
			m, skip = m[n:], v
		case 5: // 32 bits
			skip = 4
		default:
			return 0, false
		}
		if skip > uint64(len(m)) {
			return 0, false
		}
		m = m[skip:]
	}
	return status, true
}

func servingName(status uint64) string {
	names := [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}
	if status < uint64(len(names)) {
		return names[status]
	}
	return "serving status " + strconv.FormatUint(status, 10)
}
