package accesslog

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"

	"countersign.dev"
	"countersign.dev/internal/wire/tlsname"
)

// An object is one JSON object under construction. Members without a value are
// left out. Names are ours and need no escaping.
type object struct {
	b     []byte
	clock *clock
}

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
}

func (o *object) text(name, s string) {
	if s != "" {
		o.name(name)
		o.b = appendJSONString(o.b, s)
	}
}

func (o *object) bytes(name string, s []byte) {
	if len(s) > 0 {
		o.name(name)
		o.b = appendJSONString(o.b, s)
	}
}

func (o *object) number(name string, n int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, n, 10)
}

func (o *object) time(name string, t time.Time) {
	if !t.IsZero() {
		o.name(name)
		o.b = append(o.clock.appendMicro(append(o.b, '"'), t), '"')
	}
}

// seconds has the resolution of a microsecond, finer than AWS's.
func (o *object) seconds(name string, d time.Duration) {
	if d >= 0 {
		o.name(name)
		o.b = strconv.AppendFloat(o.b, d.Round(time.Microsecond).Seconds(), 'f', -1, 64)
	}
}

func (o *object) address(name string, a netip.Addr) {
	if a.IsValid() {
		o.name(name)
		o.b = append(a.Unmap().WithZone("").AppendTo(append(o.b, '"')), '"')
	}
}

func (o *object) denial(d *countersign.Denial) {
	if d != nil {
		o.text("denial_stage", string(d.Stage))
		o.text("denial_code", string(d.Code))
		o.text("denial_reason", d.Reason)
	}
}

// peer is what both logs say about the two ends of a connection.
func (o *object) peer(c *Connection) {
	o.text("listener", c.Listener)
	if c.ListenerPort != 0 {
		o.number("listener_port", int64(c.ListenerPort))
	}
	o.address("local_ip", c.LocalIP)
	if c.Client.IsValid() {
		o.address("client_ip", c.Client.Addr())
		o.number("client_port", int64(c.Client.Port()))
	}
	o.proxy(c.Proxy)
	o.text("tls_protocol", tlsname.Version(c.TLSVersion))
	o.text("tls_cipher", tlsname.Cipher(c.Cipher))
	o.text("tls_keyexchange", tlsname.Group(c.Curve))
	o.text("alpn", c.ALPN)
	o.text("server_name", c.ServerName)
	o.text("server_certificate", c.ServerCertificate)
	if c.TLSVersion != 0 {
		o.name("resumed")
		o.b = strconv.AppendBool(o.b, c.Resumed)
	}
	if id := c.Certificate; id != nil {
		o.text("subject", cut(id.Subject))
		o.text("issuer", cut(id.Issuer))
		o.text("serial", id.Serial)
		if id.Fingerprint != ([32]byte{}) { // else its name alone was vouched for
			o.name("fingerprint")
			o.b = append(hex.AppendEncode(append(o.b, `"sha256:`...), id.Fingerprint[:]), '"')
		}
	}
	o.address("vouched_by", c.VouchedBy)
	o.text("trust_store", c.TrustStore)
	if !c.TraceID.IsZero() {
		o.name("conn_trace_id")
		o.b = append(c.TraceID.append(append(o.b, '"')), '"')
	}
}

// proxy is what was said by whom was between the client and us.
func (o *object) proxy(p *Proxy) {
	if p == nil {
		return
	}
	o.address("proxy_ip", p.Peer.Addr())
	o.number("proxy_port", int64(p.Peer.Port()))
	o.number("proxy_version", int64(p.Version))
	if p.Destination.IsValid() {
		o.address("proxy_destination_ip", p.Destination.Addr())
		o.number("proxy_destination_port", int64(p.Destination.Port()))
	}
	o.text("proxy_authority", cut(p.Authority))
	o.text("proxy_vpc_endpoint", cut(p.VPCEndpoint))
	if plain(p.UniqueID) {
		o.bytes("proxy_unique_id", p.UniqueID)
	} else {
		o.name("proxy_unique_id")
		o.b = append(hex.AppendEncode(append(o.b, `"0x`...), p.UniqueID), '"')
	}
}

// plain reports whether b is printable ASCII.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func appendConnectionJSON(dst []byte, c *Connection, clock *clock) []byte {
	o := object{b: append(dst, '{'), clock: clock}
	o.text("event", "connection")
	o.time("time", c.Time)
	o.peer(c)
	if id := c.Certificate; id != nil {
		o.time("not_before", id.NotBefore)
		o.time("not_after", id.NotAfter)
	}
	if c.TLSVersion != 0 {
		o.seconds("tls_handshake_latency", c.HandshakeLatency)
	}
	switch {
	case c.Denial != nil:
		o.text("tls_verify_status", "Failed:"+string(c.Denial.Code))
	case c.TLSVersion != 0:
		o.text("tls_verify_status", "Success")
	}
	o.denial(c.Denial)
	return append(o.b, '}', '\n')
}

func appendExpulsionJSON(dst []byte, x *Expulsion, clock *clock) []byte {
	o := object{b: append(dst, '{'), clock: clock}
	o.text("event", "expulsion")
	o.time("time", x.Time)
	o.peer(x.Connection)
	o.time("connected", x.Connection.Time)
	o.denial(x.Denial)
	return append(o.b, '}', '\n')
}

func appendAccessJSON(dst []byte, a *Access, clock *clock) []byte {
	o := object{b: append(dst, '{'), clock: clock}
	o.text("event", "access")
	o.time("time", a.Time)
	o.text("type", a.kind())
	o.bytes("method", a.text(a.method))
	o.bytes("host", a.text(a.host))
	o.bytes("path", a.text(a.target))
	o.text("protocol", a.protocol)
	if a.Status != 0 {
		o.number("elb_status_code", int64(a.Status))
	}
	o.text("target_group", a.TargetGroup)
	last := a.last()
	o.text("target", last.address)
	if last.status != 0 {
		o.number("target_status_code", int64(last.status))
	}
	o.attempts(a.targets)
	o.time("request_creation_time", a.Created)
	o.seconds("request_processing_time", a.RequestTime)
	o.seconds("target_processing_time", a.TargetTime)
	o.seconds("response_processing_time", a.ResponseTime)
	o.number("received_bytes", a.ReceivedBytes)
	o.number("sent_bytes", a.SentBytes)
	o.bytes("user_agent", a.text(a.userAgent))
	o.bytes("referer", a.text(a.referer))
	o.bytes("trace_id", a.text(a.traceID))
	if a.Rule != RuleNone {
		o.number("matched_rule_priority", int64(a.Rule))
		o.text("matched_rule_name", a.RuleName)
	}
	o.text("actions_executed", a.Actions)
	o.bytes("redirect_url", a.text(a.redirect))
	o.text("classification", a.Classification)
	o.text("classification_reason", a.ClassificationReason)
	o.bytes("transformed_host", a.text(a.transformedHost))
	o.bytes("transformed_uri", a.text(a.transformedURI))
	o.text("request_transform_status", a.TransformStatus)
	o.peer(a.Connection)
	o.text("device_id", a.device)
	o.text("device_state", a.deviceState)
	o.text("auth_subject", cut(a.AuthSubject))
	o.text("auth_type", a.AuthType)
	o.text("auth_credential", a.AuthCredential)
	o.denial(a.Denial)
	return append(o.b, '}', '\n')
}

// attempts lists the targets if there was more than one.
func (o *object) attempts(targets []attempt) {
	if len(targets) < 2 {
		return
	}
	o.name("attempts")
	for i, t := range targets {
		if i == 0 {
			o.b = append(o.b, '[', '{')
		} else {
			o.b = append(o.b, ',', '{')
		}
		o.text("target", t.address)
		if t.status != 0 {
			o.number("status", int64(t.status))
		}
		o.b = append(o.b, '}')
	}
	o.b = append(o.b, ']')
}
