package accesslog

import (
	"net/netip"
	"strconv"
	"time"

	"countersign.dev/internal/wire/tlsname"
)

// A line is one line of the AWS format under construction. Every field goes
// through one of its methods, each of which writes exactly one token.
type line struct {
	b     []byte
	start int
	clock *clock
}

// field ends the previous field.
func (l *line) field() {
	if len(l.b) > l.start {
		l.b = append(l.b, ' ')
	}
}

func (l *line) word(s string) {
	l.field()
	if s == "" {
		s = "-"
	}
	l.b = appendEscaped(l.b, s, false)
}

func (l *line) quote(s string) {
	l.field()
	l.b = append(l.b, '"')
	if s == "" {
		s = "-"
	}
	l.b = append(appendEscaped(l.b, s, true), '"')
}

func (l *line) quoteText(s []byte) {
	if len(s) == 0 {
		l.quote("")
		return
	}
	l.field()
	l.b = append(appendEscaped(append(l.b, '"'), s, true), '"')
}

func (l *line) number(n int64) {
	l.field()
	l.b = strconv.AppendInt(l.b, n, 10)
}

// status is a number that is absent when it is 0.
func (l *line) status(n int) {
	if n == 0 {
		l.word("")
		return
	}
	l.number(int64(n))
}

func (l *line) time(t time.Time) {
	if t.IsZero() {
		l.word("")
		return
	}
	l.field()
	l.b = l.clock.appendMicro(l.b, t)
}

// seconds writes a duration as AWS does, or absent when it is negative.
func (l *line) seconds(d time.Duration, absent string) {
	if d < 0 {
		l.word(absent)
		return
	}
	l.field()
	l.b = appendSeconds(l.b, d)
}

func (l *line) address(a netip.Addr) {
	if !a.IsValid() {
		l.word("")
		return
	}
	l.field()
	// A zone is the name of an interface: nothing a stranger chooses, but any bytes.
	l.b = a.Unmap().WithZone("").AppendTo(l.b)
}

func (l *line) elb(listener string) { l.balancer("app/", listener) }

func (l *line) balancer(kind, listener string) {
	if listener == "" {
		l.word("")
		return
	}
	l.field()
	l.b = appendEscaped(append(l.b, kind...), listener, false)
	l.b = appendID(append(l.b, '/'), listener)
}

func (l *line) trace(id TraceID) {
	if id.IsZero() {
		l.word("")
		return
	}
	l.field()
	l.b = id.append(l.b)
}

// appendConnectionAWS appends the 15 fields of the user guide's "Connection log
// entries".
func appendConnectionAWS(dst []byte, c *Connection, clock *clock) []byte {
	l := line{b: dst, start: len(dst), clock: clock}
	l.time(c.Time)
	l.address(c.Client.Addr())
	l.number(int64(c.Client.Port()))
	l.number(int64(c.ListenerPort))
	l.word(tlsname.Version(c.TLSVersion))
	l.word(tlsname.Cipher(c.Cipher))
	latency := c.HandshakeLatency
	if c.TLSVersion == 0 {
		latency = -1
	}
	l.seconds(latency, "-")
	if id := c.Certificate; id == nil {
		l.quote("")
		l.word("")
		l.word("")
	} else {
		l.quote(cut(id.Subject))
		l.field()
		l.b = append(l.b, "NotBefore="...)
		l.b = clock.appendSecond(l.b, id.NotBefore)
		l.b = append(l.b, ";NotAfter="...)
		l.b = clock.appendSecond(l.b, id.NotAfter)
		l.word(id.Serial)
	}
	switch {
	case c.Denial != nil:
		l.word("Failed:" + string(awsCode(c.Denial.Code)))
	case c.TLSVersion != 0:
		l.word("Success")
	default:
		l.word("")
	}
	l.trace(c.TraceID)
	l.word(tlsname.Group(c.Curve))
	l.elb(c.Listener)
	l.address(c.LocalIP)
	return append(l.b, '\n')
}

// appendAccessAWS appends the 34 fields of the user guide's "Access log entries".
func appendAccessAWS(dst []byte, a *Access, clock *clock) []byte {
	c := a.Connection
	l := line{b: dst, start: len(dst), clock: clock}
	l.word(a.kind())
	l.time(a.Time)
	l.elb(c.Listener)
	if c.Client.IsValid() {
		l.field()
		l.b = netip.AddrPortFrom(c.Client.Addr().Unmap().WithZone(""), c.Client.Port()).AppendTo(l.b)
	} else {
		l.word("")
	}
	l.word(a.last().address)
	l.seconds(a.RequestTime, "-1")
	l.seconds(a.TargetTime, "-1")
	l.seconds(a.ResponseTime, "-1")
	l.status(a.Status)
	l.status(a.last().status)
	l.number(a.ReceivedBytes)
	l.number(a.SentBytes)
	l.field()
	l.b = append(appendRequest(append(l.b, '"'), a), '"')
	l.quoteText(a.text(a.userAgent))
	l.word(tlsname.Cipher(c.Cipher))
	l.word(tlsname.Version(c.TLSVersion))
	l.word(a.TargetGroup)
	l.quoteText(a.text(a.traceID))
	l.quote(c.ServerName)
	if c.Resumed {
		l.quote("session-reused")
	} else {
		l.quote(c.ServerCertificate)
	}
	if a.Rule == RuleNone {
		l.word("")
	} else {
		l.number(int64(a.Rule))
	}
	l.time(a.Created)
	l.quote(a.Actions)
	l.quoteText(a.text(a.redirect))
	if a.Denial != nil {
		l.quote(string(a.Denial.Code))
	} else {
		l.quote("")
	}
	l.attempts(a.targets)
	l.quote(a.Classification)
	l.quote(a.ClassificationReason)
	l.trace(c.TraceID)
	l.quoteText(a.text(a.transformedHost))
	l.quoteText(a.text(a.transformedURI))
	l.quote(a.TransformStatus)
	l.address(c.LocalIP)
	return append(l.b, '\n')
}

// attempts writes target:port_list and target_status_code_list.
func (l *line) attempts(targets []attempt) {
	if len(targets) == 0 {
		l.quote("")
		l.quote("")
		return
	}
	l.field()
	l.b = append(l.b, '"')
	for i, t := range targets {
		if i > 0 {
			l.b = append(l.b, ' ')
		}
		l.b = appendEscaped(l.b, t.address, false)
	}
	l.b = append(l.b, `" "`...)
	for i, t := range targets {
		if i > 0 {
			l.b = append(l.b, ' ')
		}
		if t.status == 0 {
			l.b = append(l.b, '-')
		} else {
			l.b = strconv.AppendInt(l.b, int64(t.status), 10)
		}
	}
	l.b = append(l.b, '"')
}
