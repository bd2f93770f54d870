package snapshot

import (
	"time"

	"countersign.dev/internal/telemetry"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/credential"
	"countersign.dev/internal/traffic/devices"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/forward/stream"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/keepalive"
	"countersign.dev/internal/traffic/listen/proxied"
	"countersign.dev/internal/traffic/route"
)

// A Snapshot is one configuration, compiled.
type Snapshot struct {
	// Number counts published snapshots from 1; it tells two of them apart in
	// logs and on a live connection.
	Number uint64

	Listeners []*Listener

	// Texts are what targets are told by the TLVs of PROXY headers that have a value
	// of the operator's own.
	Texts []*idheader.Text

	// MaxConnections bounds the connections of the node, all listeners together.
	MaxConnections int
	// ShutdownTimeout is how long a drain waits for exchanges under way.
	ShutdownTimeout time.Duration

	ConnectionLog *accesslog.Log // nil: off
	AccessLog     *accesslog.Log // nil: off
}

// A Listener is one address and everything that is demanded, said and done there.
type Listener struct {
	Name    string
	Address string // as configured

	// Alive says when a client is given up that is gone; nil: as its socket has it.
	Alive *keepalive.Settings
	// Proxied says whose PROXY headers are believed; nil: none is read.
	Proxied *proxied.Rule
	// Vouching says who is believed about the certificates of clients; nil: nobody.
	Vouching *proxied.Vouching
	// TLS is nil on a listener with protocol http.
	TLS *handshake.Server
	// Policies maps a server name to what is demanded of its clients.
	Policies *handshake.Policies
	// Devices says what is demanded of clients as devices; nil: nothing.
	Devices *devices.Rule
	// Require is what must hold of every request; nil: nothing.
	Require *credential.Requirement
	// CredentialFailures is how many a minute one source may have; 0: any number.
	CredentialFailures int
	// Identity says which fields tell a target who the client is.
	Identity *idheader.Plan
	Routes   *route.Table
	// Exchange bounds a request and says how it is forwarded.
	Exchange http.Settings
	// Stream says how bytes are passed on; nil on a listener that speaks HTTP.
	Stream *stream.Settings

	// KeepAlive is the longest that a connection is used for new requests.
	KeepAlive time.Duration

	Metrics *telemetry.ListenerMetrics
}

// Like reports whether the connections of l and of other are of one kind: those of
// the one can go on under the other.
func (l *Listener) Like(other *Listener) bool {
	return (l.TLS == nil) == (other.TLS == nil) && (l.Vouching == nil) == (other.Vouching == nil) && (l.Stream == nil) == (other.Stream == nil)
}

// Rejudges reports whether a client that the policies accept may be refused all the
// same, or sent elsewhere.
func (l *Listener) Rejudges() bool {
	return l.Require != nil || l.Routes.Rules != nil || l.Routes.Default.Refuse != nil
}

// Admits reports whether it is asked at the listener who a client is.
func (l *Listener) Admits() bool { return l.TLS != nil || l.Vouching != nil }

// Registers reports whether its connections are among the registered ones, which
// operators see and close, and which end when they are not accepted any more: those
// of clients who are asked who they are, and those that carry bytes. What carries
// requests of nobody in particular asks before each.
func (l *Listener) Registers() bool { return l.Admits() || l.Stream != nil }

// Listener returns the listener called name, or nil.
func (s *Snapshot) Listener(name string) *Listener {
	for _, l := range s.Listeners {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// At returns the listener with that address, or nil.
func (s *Snapshot) At(address string) *Listener {
	for _, l := range s.Listeners {
		if l.Address == address {
			return l
		}
	}
	return nil
}
