package accesslog

import (
	"time"

	"countersign.dev"
)

// RuleNone is the Rule of a request for which no rule was looked up. On AWS the
// default rule is 0, a rule has its priority, -1 is an error while evaluating.
const RuleNone = -2

// Bounds on what an event copies. AWS truncates a user agent at 8 KiB; the
// others are bounded by the listener's limits already.
const (
	maxUserAgent = 8 << 10
	maxText      = 16 << 10
	keepArena    = 4 << 10 // a larger arena is not kept for the next event
)

// An Access is the event of one exchange. Begin gives one, the pipeline fills
// it, Commit queues it; it must not be touched afterwards. Texts are copied by
// the methods, so they may come from buffers that are used again. All methods
// are safe on nil, which is what Begin returns when the log is off.
type Access struct {
	Connection *Connection

	// WebSocket says that the connection was upgraded: the type is ws or wss.
	WebSocket bool
	// GRPC says that the target group speaks gRPC: the type is grpcs.
	GRPC bool
	// Created is when the request arrived.
	Created time.Time
	// Time is when the response was made, for a WebSocket when it closed.
	// Commit sets it if it is zero.
	Time time.Time

	// RequestTime is from the request's arrival until it was sent to the target,
	// TargetTime until the target's response began, ResponseTime until the
	// response began to be sent to the client. Negative, as Begin leaves them:
	// the exchange did not get so far, which AWS writes as -1.
	RequestTime, TargetTime, ResponseTime time.Duration

	Status        int // sent to the client; 0: none
	ReceivedBytes int64
	SentBytes     int64

	TargetGroup string
	Rule        int    // priority of the rule that matched, or RuleNone
	RuleName    string // its name, if it has one
	Actions     string // forward, fixed-response, redirect ...; several with commas
	Denial      *countersign.Denial

	// AuthSubject is who the request has shown to be, beside a certificate;
	// AuthType and AuthCredential are what it has shown. "": nothing.
	AuthSubject, AuthType, AuthCredential string

	// Classification is AWS's verdict on the request's form (Acceptable,
	// Ambiguous, Severe) with its reason (BadContentLength ...).
	Classification       string
	ClassificationReason string

	// The client's device, and its state when the request was decided upon.
	device, deviceState string

	TransformStatus string // of a host or URL rewrite

	protocol string // "HTTP/1.1"
	targets  []attempt
	arena    []byte

	method, target, host, userAgent, referer, traceID span
	redirect, transformedHost, transformedURI         span
}

// An attempt is one target that was tried.
type attempt struct {
	address string
	status  int // 0: it did not answer
}

// A span is a text in the arena.
type span struct{ from, to uint32 }

func newAccess() any {
	a := new(Access)
	a.reset()
	return a
}

// reset forgets everything but the memory for texts and targets.
func (a *Access) reset() {
	arena, targets := a.arena[:0], a.targets[:0]
	if cap(arena) > keepArena {
		arena = nil
	}
	clear(targets[:cap(targets)])
	*a = Access{
		arena: arena, targets: targets,
		RequestTime: -1, TargetTime: -1, ResponseTime: -1, Rule: RuleNone,
	}
}

func (a *Access) keep(b []byte, limit int) span {
	from := len(a.arena)
	a.arena = append(a.arena, b[:min(len(b), limit)]...)
	return span{uint32(from), uint32(len(a.arena))}
}

func (a *Access) text(s span) []byte { return a.arena[s.from:s.to] }

// Request notes the request line: "GET", "/path?query", "HTTP/1.1". What could
// not be parsed is nil, or "".
func (a *Access) Request(method, target []byte, protocol string) {
	if a != nil {
		a.method, a.target, a.protocol = a.keep(method, maxText), a.keep(target, maxText), protocol
	}
}

// Host notes the Host field.
func (a *Access) Host(b []byte) {
	if a != nil {
		a.host = a.keep(b, maxText)
	}
}

// Device notes which device the client is, and the word for its state; "" is none.
// Both are kept, not copied.
func (a *Access) Device(id, state string) {
	if a != nil {
		a.device, a.deviceState = id, state
	}
}

// UserAgent notes the User-Agent field.
func (a *Access) UserAgent(b []byte) {
	if a != nil {
		a.userAgent = a.keep(b, maxUserAgent)
	}
}

// Referer notes the Referer field.
func (a *Access) Referer(b []byte) {
	if a != nil {
		a.referer = a.keep(b, maxText)
	}
}

// TraceID notes the X-Amzn-Trace-Id field as the target got it.
func (a *Access) TraceID(b []byte) {
	if a != nil {
		a.traceID = a.keep(b, maxText)
	}
}

// Redirect notes where the client was sent.
func (a *Access) Redirect(b []byte) {
	if a != nil {
		a.redirect = a.keep(b, maxText)
	}
}

// Transformed notes host and request target after a rewrite; nil is unchanged.
func (a *Access) Transformed(host, target []byte) {
	if a != nil {
		a.transformedHost, a.transformedURI = a.keep(host, maxText), a.keep(target, maxText)
	}
}

// Target notes that a target was tried: its address ("10.0.0.1:80", kept, not
// copied), and the status of its response, 0 if there was none. Called once per
// try; the last one counts as the target of the exchange.
func (a *Access) Target(address string, status int) {
	if a != nil {
		a.targets = append(a.targets, attempt{address, status})
	}
}

// last returns the target that counts, zero if none was tried.
func (a *Access) last() attempt {
	if len(a.targets) == 0 {
		return attempt{}
	}
	return a.targets[len(a.targets)-1]
}

// kind is AWS's type of request.
func (a *Access) kind() string {
	switch secure := a.Connection.TLSVersion != 0; {
	case secure && a.WebSocket:
		return "wss"
	case secure && a.GRPC:
		return "grpcs"
	case secure && a.protocol == "HTTP/2.0":
		return "h2"
	case secure:
		return "https"
	case a.WebSocket:
		return "ws"
	}
	return "http"
}
