package accesslog

import (
	"net/netip"
	"strings"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/tlsname"
)

// A Stream is the event of a connection that carried bytes and no requests, or
// was to: at its end, or when it was refused. The log reads it later: it must not
// be changed any more.
type Stream struct {
	*Connection
	// Time is when the connection ended.
	Time time.Time
	// End says how; Denial why, if the gateway ended it.
	End    string
	Denial *countersign.Denial

	Rule     int    // priority of the rule that took it, 0: the default's, or RuleNone
	RuleName string // its name; "" if it has none

	TargetGroup string
	Targets     []string // that were tried, "10.0.0.1:1883"
	TargetALPN  string   // what the last one has chosen
	// ConnectTime is from the decision until a target was connected; negative: none was.
	ConnectTime time.Duration

	ReceivedBytes, SentBytes int64 // from and to the client, without TLS

	// Alert is the number of the TLS alert by which the client broke off (RFC 8446
	// section 6); -1: none.
	Alert int
}

// Stream queues the event of a connection that carried bytes.
func (l *Log) Stream(s *Stream) {
	if l != nil && s != nil && l.format != Combined {
		l.spool.Offer(s)
	}
}

func (s *Stream) kind() string {
	if s.TLSVersion != 0 || s.HandshakeLatency < 0 {
		return "tls"
	}
	return "tcp"
}

// maxOffered is where AWS cuts the list of protocols off, in bytes.
const maxOffered = 256

// appendStreamAWS appends the 22 fields of the Network Load Balancer user guide's
// "Access log entries".
func appendStreamAWS(dst []byte, s *Stream, clock *clock) []byte {
	c := s.Connection
	l := line{b: dst, start: len(dst), clock: clock}
	l.word(s.kind())
	l.word("2.0")
	l.second(s.Time)
	l.balancer("net/", c.Listener)
	l.field()
	l.b = appendID(l.b, "listener "+c.Listener)
	l.addrPort(c.Client)
	l.addrPort(netip.AddrPortFrom(c.LocalIP, c.ListenerPort))
	l.number(s.Time.Sub(c.Time).Milliseconds())
	if s.TLSVersion != 0 && c.HandshakeLatency >= 0 {
		l.number(c.HandshakeLatency.Milliseconds())
	} else {
		l.word("")
	}
	l.number(s.ReceivedBytes)
	l.number(s.SentBytes)
	if s.Alert >= 0 {
		l.number(int64(s.Alert))
	} else {
		l.word("")
	}
	l.word(c.ServerCertificate)
	l.word("") // chosen_cert_serial, which AWS keeps for later
	l.word(tlsname.Cipher(c.Cipher))
	l.word(strings.ToLower(strings.ReplaceAll(tlsname.Version(c.TLSVersion), ".", "")))
	l.word(tlsname.Group(c.Curve))
	l.word(c.ServerName)
	l.word(c.ALPN)
	l.word(s.TargetALPN)
	l.offered(c.Offered)
	l.second(c.Time)
	return append(l.b, '\n')
}

// offered writes alpn_client_preference_list: "h2","http/1.1".
func (l *line) offered(protocols []string) {
	if len(protocols) == 0 {
		l.word("")
		return
	}
	l.field()
	start := len(l.b)
	for i, p := range protocols {
		before := len(l.b)
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.b = append(appendURLEncoded(append(l.b, '"'), p), '"')
		if len(l.b)-start > maxOffered {
			l.b = l.b[:before]
			break
		}
	}
	if len(l.b) == start {
		l.b = append(l.b, '-')
	}
}

// appendURLEncoded leaves what may stand in a path as it is, "/" among it.
func appendURLEncoded(dst []byte, s string) []byte {
	for i := range len(s) {
		switch b := s[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("-._~/", b) >= 0:
			dst = append(dst, b)
		default:
			dst = append(dst, '%', upperHex[b>>4], upperHex[b&15])
		}
	}
	return dst
}

// second writes a time as that log does: UTC, without a zone.
func (l *line) second(t time.Time) {
	l.field()
	l.b = t.UTC().AppendFormat(l.b, "2006-01-02T15:04:05")
}

func (l *line) addrPort(a netip.AddrPort) {
	if !a.IsValid() {
		l.word("")
		return
	}
	l.field()
	l.b = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port()).AppendTo(l.b)
}

func appendStreamJSON(dst []byte, s *Stream, clock *clock) []byte {
	c := s.Connection
	o := object{b: append(dst, '{'), clock: clock}
	o.text("event", "stream")
	o.time("time", s.Time)
	o.text("type", s.kind())
	o.peer(c)
	o.time("connected", c.Time)
	o.seconds("connection_time", s.Time.Sub(c.Time))
	if c.TLSVersion != 0 {
		o.seconds("tls_handshake_latency", c.HandshakeLatency)
	}
	o.list("alpn_offered", c.Offered)
	o.number("received_bytes", s.ReceivedBytes)
	o.number("sent_bytes", s.SentBytes)
	if s.Rule != RuleNone {
		o.number("matched_rule_priority", int64(s.Rule))
		o.text("matched_rule_name", s.RuleName)
	}
	o.text("target_group", s.TargetGroup)
	o.list("targets", s.Targets)
	if s.ConnectTime >= 0 {
		o.seconds("target_connect_time", s.ConnectTime)
	}
	o.text("target_alpn", s.TargetALPN)
	o.text("end", s.End)
	if s.Alert >= 0 {
		o.number("incoming_tls_alert", int64(s.Alert))
	}
	o.denial(s.Denial)
	return append(o.b, '}', '\n')
}

// list is an array of texts.
func (o *object) list(name string, all []string) {
	if len(all) == 0 {
		return
	}
	o.name(name)
	o.b = append(o.b, '[')
	for i, s := range all {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = appendJSONString(o.b, s)
	}
	o.b = append(o.b, ']')
}
