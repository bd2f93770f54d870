package countersign

import (
	"fmt"
	"time"
)

// A Stage is the step of the pipeline that refused: the words of
// internal/traffic/pipeline.go.
type Stage string

// The stages, in the order in which a connection and a request meet them.
const (
	StageAccept    Stage = "accept"
	StageHandshake Stage = "handshake"
	StageVerify    Stage = "verify"
	StageIdentify  Stage = "identify"
	StageParse     Stage = "parse"
	StageRoute     Stage = "route"
	StageAuthorize Stage = "authorize"
	StageForward   Stage = "forward"
)

// A Code names why something was refused. It is stable: logs, metrics, problem
// documents and scripts depend on it.
type Code string

// Codes for client certificates that AWS's connection log has too, spelled and
// meant as there (Application Load Balancer user guide, "Connection logs").
const (
	ClientCertMaxChainDepthExceeded Code = "ClientCertMaxChainDepthExceeded"
	ClientCertMaxSizeExceeded       Code = "ClientCertMaxSizeExceeded"
	ClientCertCrlHit                Code = "ClientCertCrlHit"
	ClientCertCrlProcessingError    Code = "ClientCertCrlProcessingError"
	ClientCertUntrusted             Code = "ClientCertUntrusted"
	ClientCertNotYetValid           Code = "ClientCertNotYetValid"
	ClientCertExpired               Code = "ClientCertExpired"
	ClientCertTypeUnsupported       Code = "ClientCertTypeUnsupported"
	ClientCertInvalid               Code = "ClientCertInvalid"
	ClientCertPurposeInvalid        Code = "ClientCertPurposeInvalid"
	ClientCertRejected              Code = "ClientCertRejected"
	ClientCertIncompatible          Code = "ClientCertIncompatible"
	UnmappedConnectionError         Code = "UnmappedConnectionError"
)

// Codes of our own, where AWS is silent or lumps causes together.
const (
	// Connection.
	ClientCertMissing         Code = "ClientCertMissing"         // a certificate is required, none was presented
	ClientCertOcspHit         Code = "ClientCertOcspHit"         // the issuer's OCSP responder calls it revoked
	ClientCertOcspUnknown     Code = "ClientCertOcspUnknown"     // ocsp: require, and the responder does not know it
	ClientCertOcspUnavailable Code = "ClientCertOcspUnavailable" // ocsp: require, and there is no answer that counts
	HandshakeTimeout          Code = "HandshakeTimeout"          // the TLS handshake did not finish in time
	HandshakeFailed           Code = "HandshakeFailed"           // no common version or cipher, garbage, the peer went away
	HandshakeLimit            Code = "HandshakeLimit"            // limits.handshakes: no turn within timeouts.handshake, or too many wait for one
	ServerNameUnknown         Code = "ServerNameUnknown"         // no certificate can serve the name the client asks for
	ProxyHeaderUntrusted      Code = "ProxyHeaderUntrusted"      // a PROXY header, or where one is required anything, from a peer that is not in proxy_protocol.from
	ProxyHeaderMissing        Code = "ProxyHeaderMissing"        // proxy_protocol.accept: required, and the connection begins with something else
	ProxyHeaderInvalid        Code = "ProxyHeaderInvalid"        // a PROXY header that is not as the protocol has it
	ProxyHeaderTimeout        Code = "ProxyHeaderTimeout"        // proxy_protocol.timeout
	ClientNotVouched          Code = "ClientNotVouched"          // client_auth mode proxied, and the balancer in front vouches for no certificate
	ConnectionLimit           Code = "ConnectionLimit"           // node.max_connections reached
	ListenerGone              Code = "ListenerGone"              // the listener was removed by a new configuration
	ClosedByOperator          Code = "ClosedByOperator"          // an operator has closed the connection
	CredentialNotProven       Code = "CredentialNotProven"       // a stage was handed a proof that nobody made

	// Device, on a listener with devices: enforce.
	DeviceUnnamed            Code = "DeviceUnnamed"            // the certificate names no device, or more than one
	DeviceNotProvisioned     Code = "DeviceNotProvisioned"     // the registry does not know it
	DeviceNotActive          Code = "DeviceNotActive"          // it is provisioned or ready
	DeviceIsSuspended        Code = "DeviceSuspended"          // it is kept out for a while
	DeviceIsRevoked          Code = "DeviceRevoked"            // it was cut off
	DeviceIsRetired          Code = "DeviceRetired"            // it is out of service
	DeviceCertificateRevoked Code = "DeviceCertificateRevoked" // it is active, but this certificate of it is worth nothing any more
	DeviceBootstrap          Code = "DeviceBootstrap"          // the bootstrap certificate was used for something else than enrolling
	DeviceStateUnavailable   Code = "DeviceStateUnavailable"   // nothing is known of it, and the registry cannot be asked

	// Credential, where require demands one beside or in the place of a certificate.
	CredentialMissing      Code = "CredentialMissing"      // the request shows none of what is required
	CredentialInvalid      Code = "CredentialInvalid"      // what it shows is not known here, or not what it claims to be
	CredentialExpired      Code = "CredentialExpired"      // a token that is not valid any more, or not yet
	CredentialInsufficient Code = "CredentialInsufficient" // a token that is good, but does not say what is required
	CredentialNotBound     Code = "CredentialNotBound"     // a token that belongs to another certificate than the connection's
	CredentialLimit        Code = "CredentialLimit"        // limits.credential_failures
	CredentialUnavailable  Code = "CredentialUnavailable"  // there is no room to verify it at the moment

	// Request.
	BadRequest                   Code = "BadRequest"                   // not HTTP/1.1 as RFC 9112 writes it, or ambiguous about its framing
	MethodNotAllowed             Code = "MethodNotAllowed"             // TRACE, CONNECT
	RequestTimeout               Code = "RequestTimeout"               // head or body did not arrive in time
	BodyTooLarge                 Code = "BodyTooLarge"                 // limits.body
	TargetTooLong                Code = "TargetTooLong"                // limits.request_line
	HeadersTooLarge              Code = "HeadersTooLarge"              // limits.header, limits.headers
	IdentityTooLarge             Code = "IdentityTooLarge"             // what is to be said about the client does not fit limits.header(s)
	VersionUnsupported           Code = "VersionUnsupported"           // neither HTTP/1.0 nor HTTP/1.1
	MisdirectedRequest           Code = "MisdirectedRequest"           // Host belongs to another policy than the connection's server name
	AmbiguousPath                Code = "AmbiguousPath"                // its path can be read in ways that lead to different rules
	ExpectationFailed            Code = "ExpectationFailed"            // an Expect other than 100-continue
	NotImplemented               Code = "NotImplemented"               // a transfer coding we do not know
	NoRoute                      Code = "NoRoute"                      // nothing in the listener takes this request
	RefusedByRule                Code = "RefusedByRule"                // a rule, or the default, of a listener that passes bytes on says refuse
	NoHealthyTarget              Code = "NoHealthyTarget"              // the group is empty, or all unhealthy and fail_open is false
	TargetsBusy                  Code = "TargetsBusy"                  // target_groups[].max_connections: no target has become free in time, or too many requests wait
	TargetConnectFailed          Code = "TargetConnectFailed"          // no target could be reached
	TargetTimeout                Code = "TargetTimeout"                // the target did not answer in time
	TargetBadResponse            Code = "TargetBadResponse"            // the target's answer is not HTTP/1.1, or too large
	TargetClosed                 Code = "TargetClosed"                 // the target closed before it answered
	TargetHandshakeFailed        Code = "TargetHandshakeFailed"        // TLS with the target: no common version or cipher, not TLS at all, an alert
	TargetRefusedCertificate     Code = "TargetRefusedCertificate"     // the target wants a client certificate, and does not take ours
	TargetProtocolMismatch       Code = "TargetProtocolMismatch"       // the target does not choose the protocol of the group by ALPN
	TargetCertUntrusted          Code = "TargetCertUntrusted"          // no authority of target_groups[].tls.ca_bundle issued the target's certificate
	TargetCertNameMismatch       Code = "TargetCertNameMismatch"       // the target's certificate is for other names
	TargetCertExpired            Code = "TargetCertExpired"            // the target's certificate, or that of an authority above it, has expired
	TargetCertNotYetValid        Code = "TargetCertNotYetValid"        // ... is not valid yet
	TargetCertInvalid            Code = "TargetCertInvalid"            // the target's certificate is not for servers, or not as RFC 5280 has it
	TargetCertPinMismatch        Code = "TargetCertPinMismatch"        // no key of the target's path is among target_groups[].tls.pins
	TargetCertCrlHit             Code = "TargetCertCrlHit"             // the target's certificate is revoked
	TargetCertCrlProcessingError Code = "TargetCertCrlProcessingError" // the revocation list that would tell does not count
	ClientClosed                 Code = "ClientClosed"                 // the client went away before the answer was complete
	PlainHTTPOnTLS               Code = "PlainHTTPOnTLS"               // a plain HTTP request on a TLS listener
	ShuttingDown                 Code = "ShuttingDown"                 // the node is draining
)

// A Denial is a refusal: where, which code, and the reason in words for the
// operator. The peer is told the code at most; what becomes of it on the wire
// (a TLS alert, an HTTP status) is the business of the edge that writes it.
type Denial struct {
	Stage  Stage
	Code   Code
	Reason string

	// Challenges say what the client can show instead, each as a value of
	// WWW-Authenticate (RFC 9110 section 11.6.1).
	Challenges []string
	// RetryAfter is when another attempt may succeed; 0: nothing is known of that.
	RetryAfter time.Duration
}

// Deny makes a Denial; format and args give the reason as in fmt.Sprintf.
func Deny(stage Stage, code Code, format string, args ...any) *Denial {
	return &Denial{Stage: stage, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Error returns "CODE: reason", so that a Denial travels as an error where a
// library leaves no other way (tls.Config.VerifyConnection).
func (d *Denial) Error() string { return string(d.Code) + ": " + d.Reason }
