package accesslog

import (
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"time"

	"countersign.dev"
)

// A Connection is the event of one accepted connection, admitted or refused.
// Exchanges on the connection point to it (see Log.Begin), so it must not
// change once it was handed to a Log.
type Connection struct {
	// Time is when the connection was accepted.
	Time time.Time
	// Client is as Proxy says, if that says it.
	Client netip.AddrPort
	// Proxy is what a balancer in front said of the connection; nil: nothing.
	Proxy *Proxy

	Listener     string // the listener's name
	ListenerPort uint16
	LocalIP      netip.Addr

	// TLSVersion, Cipher and Curve are crypto/tls's numbers; 0 is unknown, as on
	// a listener without TLS or after a handshake that failed early.
	TLSVersion uint16
	Cipher     uint16
	Curve      tls.CurveID
	ALPN       string
	// Offered are the protocols among which ALPN chose, where that is told.
	Offered []string
	// ServerName is what the client asked for, as it wrote it.
	ServerName string
	// ServerCertificate is the name of the certificate it was shown.
	ServerCertificate string
	// HandshakeLatency is negative when the handshake failed.
	HandshakeLatency time.Duration
	Resumed          bool

	// Certificate describes what the client presented, believed or not; nil when
	// it presented nothing, or nothing that can be parsed.
	Certificate *countersign.Identity
	// TrustStore names the store against which Certificate was held; "" when it
	// was not.
	TrustStore string
	// VouchedBy is the balancer that Certificate is known from; not valid: it was seen
	// here.
	VouchedBy netip.Addr
	// Denial is why the client was refused; nil when it was admitted.
	Denial *countersign.Denial

	TraceID TraceID
}

// A Proxy is what the PROXY header before a connection said.
type Proxy struct {
	// Peer is who said it: the other end of the socket.
	Peer    netip.AddrPort
	Version int
	// Local: the balancer spoke for itself. Then there is no Source.
	Local               bool
	Source, Destination netip.AddrPort
	// Authority is the name that the client asked the balancer for, VPCEndpoint
	// AWS's identifier of where it came in, UniqueID the balancer's name for the
	// connection: any bytes. Each may be missing.
	Authority, VPCEndpoint string
	UniqueID               []byte
}

// An Expulsion is the event of a connection that was admitted and ends because its
// client is no longer accepted. Connection must not change any more.
type Expulsion struct {
	*Connection
	Time   time.Time
	Denial *countersign.Denial
}

// maxName is how much of a name in a certificate is written: anybody can show
// one of 64 KiB, and each line about one of their exchanges repeats it. Whose it
// was, the fingerprint and the serial number still say.
const maxName = 2 << 10

func cut(name string) string { return name[:min(len(name), maxName)] }

// user is the common name of a verified client, or "".
func (c *Connection) user() string {
	if c.Certificate == nil || c.TrustStore == "" || c.Denial != nil || len(c.Certificate.CommonNames) == 0 {
		return ""
	}
	return cut(c.Certificate.CommonNames[0])
}

// A TraceID ties the lines of one connection and its exchanges together.
type TraceID [16]byte

// NewTraceID returns a random one. It is no secret.
func NewTraceID() TraceID {
	var id TraceID
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	return id
}

// IsZero reports whether no identifier was given.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// String returns TID_ and 32 hex digits, as AWS writes it.
func (id TraceID) String() string { return string(id.append(nil)) }

func (id TraceID) append(dst []byte) []byte {
	return hex.AppendEncode(append(dst, "TID_"...), id[:])
}

// awsCode returns the code that AWS's connection log has for c: the codes of
// the user guide stand for themselves, everything else is one word there.
func awsCode(c countersign.Code) countersign.Code {
	switch c {
	case countersign.ClientCertMaxChainDepthExceeded,
		countersign.ClientCertMaxSizeExceeded,
		countersign.ClientCertCrlHit,
		countersign.ClientCertCrlProcessingError,
		countersign.ClientCertUntrusted,
		countersign.ClientCertNotYetValid,
		countersign.ClientCertExpired,
		countersign.ClientCertTypeUnsupported,
		countersign.ClientCertInvalid,
		countersign.ClientCertPurposeInvalid,
		countersign.ClientCertRejected,
		countersign.ClientCertIncompatible:
		return c
	}
	return countersign.UnmappedConnectionError
}
