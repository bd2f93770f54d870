package handshake

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

// faults of a client's certificate that crypto/tls finds before we are asked.
// It has no types for them; a test holds these texts against the Go in use.
var faults = [...]struct {
	text           string
	code           countersign.Code
	reason, remedy string
}{
	{"tls: client didn't provide a certificate", countersign.ClientCertMissing, "a client certificate is needed, none was presented", "give the client one, with its private key"},
	{"tls: failed to parse client certificate: x509: unsupported elliptic curve", countersign.ClientCertTypeUnsupported, "the certificate's key is on an unknown curve; want P-256, P-384 or P-521", "issue it for another key"},
	{"tls: failed to parse client certificate: ", countersign.ClientCertInvalid, "a certificate that the client presents does not parse", "let its CA issue it again in DER, as RFC 5280 says"},
	{"tls: client sent certificate containing RSA key larger than ", countersign.ClientCertTypeUnsupported, "the RSA key is larger than 8192 bits", "issue the certificate for a smaller one"},
	{"tls: client certificate contains an unsupported public key of type ", countersign.ClientCertTypeUnsupported, "the certificate's key is neither RSA, ECDSA nor Ed25519", "issue it for such a key"},
	{"tls: client certificate used with invalid signature algorithm", countersign.ClientCertInvalid, "the client proves its key with a signature algorithm that was not offered", "its TLS library is at fault"},
	{"tls: invalid signature by the client certificate: ", countersign.ClientCertInvalid, "the client does not hold the private key of the certificate it presents", "give it the key that belongs to it"},
}

// tooLarge is what crypto/tls says of a Certificate message beyond 256 KiB.
const tooLarge = "exceeds maximum of 262144 bytes"

// distrust is what to look at when a client ends the handshake.
const distrust = "if it does not trust the server's certificate, see whether that is complete and from an authority the client knows"

// classify turns the error of a handshake into a Denial.
func classify(err error) *countersign.Denial {
	deny := func(code countersign.Code, format string, args ...any) *countersign.Denial {
		return countersign.Deny(countersign.StageHandshake, code, format, args...)
	}
	var denial *countersign.Denial
	var record tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case errors.As(err, &denial):
		return denial
	case errors.Is(err, context.Canceled):
		return deny(countersign.ShuttingDown, "the listener was closed during the handshake")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return deny(countersign.HandshakeTimeout, "the handshake did not finish in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return deny(countersign.HandshakeFailed, "the client closed the connection during the handshake")
	case errors.As(err, &record):
		if isPlainHTTP(record) {
			return deny(countersign.PlainHTTPOnTLS, "a plain HTTP request on a TLS port, it begins with %q", record.RecordHeader)
		}
		return deny(countersign.HandshakeFailed, "not TLS: %s; it begins with % x", strings.TrimPrefix(record.Error(), "tls: "), record.RecordHeader)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return deny(countersign.HandshakeFailed, "the client ended the handshake with the alert %q; %s", strings.TrimPrefix(remote.Err.Error(), "tls: "), distrust)
	case errors.As(err, &remote) && remote.Op == "local error" && strings.HasSuffix(remote.Err.Error(), "bad record MAC"):
		// In TLS 1.3 OpenSSL sends the alert before it has changed its keys.
		return deny(countersign.HandshakeFailed, "a record from the client does not decrypt, as when a client built on OpenSSL ends the handshake with an alert; %s", distrust)
	}
	text := err.Error()
	for _, f := range faults {
		if rest, ok := strings.CutPrefix(text, f.text); ok {
			d := countersign.Deny(countersign.StageVerify, f.code, "%s", f.reason)
			if f.code == countersign.ClientCertInvalid && rest != "" {
				d.Reason += ": " + shorten(rest)
			}
			d.Reason += "; " + f.remedy
			return d
		}
	}
	if strings.HasSuffix(text, tooLarge) {
		return countersign.Deny(countersign.StageVerify, countersign.ClientCertMaxSizeExceeded,
			"the client's certificates: %s; let it send its own and those of the CAs up to the trust store, nothing else", strings.TrimPrefix(text, "tls: "))
	}
	return deny(countersign.HandshakeFailed, "%s", shorten(strings.TrimPrefix(text, "tls: ")))
}

// isPlainHTTP recognizes the first five bytes of an HTTP request, h2c's preface included.
func isPlainHTTP(e tls.RecordHeaderError) bool {
	if e.Conn == nil {
		return false // not the first record
	}
	switch string(e.RecordHeader[:]) {
	case "GET /", "GET h", "HEAD ", "POST ", "PUT /", "PUT h", "OPTIO", "DELET", "PATCH", "CONNE", "TRACE", "PRI *":
		return true
	}
	return false
}

// shorten bounds a text that may repeat what the peer sent at length.
func shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s and %d more bytes", strings.ToValidUTF8(s[:most], ""), len(s)-most)
}
