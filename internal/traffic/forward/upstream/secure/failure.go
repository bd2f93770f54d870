package secure

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"countersign.dev"
)

// alerts are those by which a target says that it does not take our certificate,
// with their names in RFC 8446 section 6.2. crypto/tls has no type for them; a
// test holds the texts against the Go in use.
var alerts = [...]struct{ text, name, means string }{
	{"tls: bad certificate", "bad_certificate", "it found something wrong with it"},
	{"tls: unsupported certificate", "unsupported_certificate", "it does not take certificates of that kind"},
	{"tls: revoked certificate", "certificate_revoked", "it is revoked there"},
	{"tls: expired certificate", "certificate_expired", "it has expired"},
	{"tls: unknown certificate", "certificate_unknown", "it does not accept it"},
	{"tls: unknown certificate authority", "unknown_ca", "it does not know the authority that issued it"},
	{"tls: access denied", "access_denied", "it is good, and not allowed there"},
	{"tls: certificate required", "certificate_required", "it wants a certificate"},
}

// failed says why a handshake was not finished.
func (h *attempt) failed(err error) *countersign.Denial {
	if d, ok := errors.AsType[*countersign.Denial](err); ok {
		return d
	}
	if d := h.refused(err); d != nil {
		return d
	}
	record, garbage := errors.AsType[tls.RecordHeaderError](err)
	remote, alert := errors.AsType[*net.OpError](err)
	timeout, waited := errors.AsType[net.Error](err)
	code := countersign.TargetHandshakeFailed
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), waited && timeout.Timeout():
		return deny(countersign.TargetTimeout, "target %s did not finish the TLS handshake in time (connect_timeout)", h.address)
	case errors.Is(err, context.Canceled):
		return deny(code, "the TLS handshake with target %s was broken off", h.address)
	case garbage:
		return deny(code, "target %s does not speak TLS, what it sends begins with %q; set protocol: http of the target group if it is without TLS, or correct the port", h.address, record.RecordHeader)
	case alert && remote.Op == "remote error" && remote.Err.Error() == "tls: no application protocol": // RFC 7301 section 3.2
		return deny(countersign.TargetProtocolMismatch, "target %s speaks no protocol that is offered by ALPN (alert no_application_protocol), want %s; let it speak that over TLS, or %s",
			h.address, strings.Join(h.offered, " or "), h.otherwise())
	case alert && remote.Op == "remote error":
		return deny(code, "target %s ended the TLS handshake with the alert %q; its log says why", h.address, strings.TrimPrefix(remote.Err.Error(), "tls: "))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return deny(code, "target %s closed the connection during the TLS handshake; its log may say why", h.address)
	}
	return deny(code, "the TLS handshake with target %s failed: %s", h.address, shorten(strings.TrimPrefix(err.Error(), "tls: ")))
}

// otherwise says how a target is offered another protocol.
func (h *attempt) otherwise() string {
	if len(h.client.cfg.Protocols) == 0 {
		return "set tls.alpn of the target group to what it speaks: this is what the client has chosen"
	}
	return "set another protocol of the target group"
}

// refused says with which alert the target has refused our certificate; nil: it
// has not.
func (h *attempt) refused(err error) *countersign.Denial {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return nil
	}
	// Some have but one word for it (OpenSSL's s_server, Go before TLS 1.3).
	text, name, means := remote.Err.Error(), "", ""
	if text == "tls: handshake failure" && h.asked && h.client.cfg.Certificate == nil {
		name, means = "handshake_failure", "it wants a certificate"
	}
	for _, a := range alerts {
		if a.text == text {
			name, means = a.name, a.means
		}
	}
	switch shown := h.shown(); {
	case name == "":
		return nil
	case shown == "":
		return deny(countersign.TargetRefusedCertificate, "target %s asks for a client certificate and there is none to show: alert %s, %s; set tls.certificate of the target group", h.address, name, means)
	default:
		return deny(countersign.TargetRefusedCertificate, "target %s refused our certificate %s: alert %s, %s; see what the target trusts, and tls.certificate of the target group", h.address, shown, name, means)
	}
}

// shorten bounds a text that may repeat what the peer sent at length.
func shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s and %d more bytes", strings.ToValidUTF8(s[:most], ""), len(s)-most)
}
