package telemetry

import (
	"crypto"
	"crypto/ecdh"
	"crypto/tls"
	"log/slog"
	"strings"
)

const redacted = "[redacted]"

// redact is the last line of defense of a slog handler: whatever a careless
// call hands to the log, private keys and credentials do not come out of it. It
// sees every attribute, within groups too, and the message.
func redact(_ []string, a slog.Attr) slog.Attr {
	switch strings.ToLower(a.Key) {
	case "password", "passphrase", "secret", "private_key", "key_pem", "authorization", "cookie", "api_key", "token":
		return slog.String(a.Key, redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if isPrivateKey(a.Value.String()) {
			return slog.String(a.Key, redacted)
		}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			if isPrivateKey(v.Error()) {
				return slog.String(a.Key, redacted)
			}
		case []byte:
			if isPrivateKey(string(v)) {
				return slog.String(a.Key, redacted)
			}
		case crypto.Signer, *ecdh.PrivateKey, tls.Certificate, *tls.Certificate, *tls.Config:
			return slog.String(a.Key, redacted)
		}
	}
	return a
}

// isPrivateKey looks for the label of a PEM block (RFC 7468 sections 10, 11,
// and the older labels with an algorithm in front).
func isPrivateKey(s string) bool { return strings.Contains(s, "PRIVATE KEY-----") }
