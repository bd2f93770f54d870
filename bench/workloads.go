package main

import (
	"time"

	"countersign.dev/bench/backend"
	"countersign.dev/bench/load"
	"countersign.dev/bench/peer"
	"countersign.dev/bench/report"
)

// A workload is a piece of work that every server is given.
type workload struct {
	name     string
	about    string
	metric   report.Metric
	required float64 // the most that countersign's figure may be, the better peer's being 1; 0: nothing is required
	aim      float64
	load     load.Spec // without what is known only when servers run
	logs     bool      // every request leaves a line
	half     bool      // the rate is half of what the slower peer can do
	idle     bool      // the duration is the option settle, not that of a turn
	crl      bool      // the issuing authority's list is the long one
	start    bool      // the work is to start, and nothing else
	change   *change   // it is made to countersign alone, while the load looks on
	own      own       // it is countersign's alone
	enforce  bool      // clients are held against a registry of devices
	secure   bool      // the backend is reached over TLS, and is shown a certificate
	rules    int       // that no request meets, before the default
	token    bool      // the backend is told of clients by a signed token too
	beside   load.Spec // what others ask of the server meanwhile, which does not count; the zero value: nothing
	stream   string    // the servers pass bytes on, and this is what their clients speak: peer.TLS or peer.TCP; "": HTTP
}

// workloads lists all of them, in the order in which they are run.
func workloads(o options) []workload {
	get := load.Spec{Kind: "keep-alive", Connections: 16, Path: "/", Answer: backend.Small}
	with := func(s load.Spec, change func(*load.Spec)) load.Spec { change(&s); return s }
	handshake := with(get, func(s *load.Spec) { s.Kind, s.Connections = "handshake", 8 })
	transfer := with(get, func(s *load.Spec) { s.Connections, s.Path, s.Answer = 4, backend.LargePath, backend.Large })
	echoed := func(s *load.Spec) { s.Echo = 64 }
	return []workload{
		{
			name: "h1-keepalive", metric: report.CPU, required: 0.70, aim: 0.55, load: get,
			about: "HTTP/1.1 GET on 16 kept connections, answers of 64 bytes",
		},
		{
			name: "h1-keepalive-logged", metric: report.CPU, required: 0.70, aim: 0.55, load: get, logs: true,
			about: "the same with access logs on, in files",
		},
		{
			name: "h2", metric: report.CPU, required: 1.0, aim: 0.8,
			load:  with(get, func(s *load.Spec) { s.Kind, s.Connections, s.Streams = "http2", 4, 4 }),
			about: "HTTP/2 GET, 4 streams in flight on each of 4 connections, answers of 64 bytes",
		},
		{
			name: "handshake-full", metric: report.CPU, required: 0.25, aim: 0.18, load: handshake,
			about: "a new connection with a full handshake, one GET, close; 8 at a time",
		},
		{
			name: "handshake-crl", metric: report.CPU, required: 0.25, aim: 0.18, load: handshake, crl: true,
			about: "handshake-full with a revocation list of a million entries",
		},
		{
			name: "handshake-resumed", metric: report.CPU, required: 0.26, aim: 0.22,
			load:  with(handshake, func(s *load.Spec) { s.Resume = true }),
			about: "the same with the session of the connection before",
		},
		{
			name: "body-1m", metric: report.CPU, required: 0.75, aim: 0.65,
			load:  transfer,
			about: "HTTP/1.1 GET on 4 kept connections, answers of 1 MiB",
		},
		{
			name: "upload-1m", metric: report.CPU,
			load:  with(get, func(s *load.Spec) { s.Connections, s.Upload = 4, 1<<20 }),
			about: "HTTP/1.1 POST of 1 MiB on 4 kept connections",
		},
		{
			name: "idle", metric: report.Memory, required: 0.50, aim: 0.35, idle: true,
			load:  with(get, func(s *load.Spec) { s.Kind, s.Connections = "idle", o.idleConnections }),
			about: "verified connections that have sent one GET and are silent: memory for each",
		},
		{
			name: "latency", metric: report.P99, required: 1.2, aim: 0.8, half: true,
			load:  with(get, func(s *load.Spec) { s.Kind = "paced" }),
			about: "GETs on 16 kept connections at a fixed rate, half of what the slower peer can do",
		},
		{
			name: "storm", metric: report.P99,
			load:   with(get, func(s *load.Spec) { s.Kind, s.Rate = "paced", 2000 }),
			beside: with(handshake, func(s *load.Spec) { s.Connections = 256 }),
			about:  "2,000 GETs a second on 16 kept connections, while 256 others make full handshakes as fast as they can",
		},
		{
			name: "upstream-tls-keepalive", metric: report.CPU, secure: true, load: get,
			about: "h1-keepalive with a backend over TLS that asks for the server's certificate; its connections are kept too",
		},
		{
			name: "upstream-tls-handshake", metric: report.CPU, secure: true,
			load:  with(get, func(s *load.Spec) { s.Connections, s.Path = 8, backend.OncePath }),
			about: "the same, on 8 connections, with a backend that ends each of its own behind an answer: a full handshake with it for each GET",
		},
		{
			name: "stream-tls-1m", metric: report.CPU, required: 0.80, stream: peer.TLS, load: transfer,
			about: "bytes of TLS connections to a TCP target: 1 MiB again and again on 4 connections",
		},
		{
			name: "stream-tls-handshake", metric: report.CPU, required: 0.27, stream: peer.TLS,
			load:  with(handshake, echoed),
			about: "the same: a new connection with a full handshake, 64 bytes echoed, close; 8 at a time",
		},
		{
			name: "stream-tcp-1m", metric: report.CPU, required: 1.0, stream: peer.TCP,
			load:  with(transfer, func(s *load.Spec) { s.Plain = true }),
			about: "bytes of TCP connections to a TCP target: 1 MiB again and again on 4 connections",
		},
		{
			name: "stream-idle", metric: report.Memory, required: 0.50, stream: peer.TLS, idle: true,
			load:  with(with(get, echoed), func(s *load.Spec) { s.Kind, s.Connections = "idle", o.idleConnections }),
			about: "TLS connections that have had 64 bytes echoed and are silent: memory for each, with its connection to the target",
		},
		{
			name: "crl-load", metric: report.CPU, load: get, crl: true, start: true,
			about: "a start with a revocation list of a million entries: CPU time more than with one of ten",
		},
		{
			name: "crl-replace", crl: true,
			load:   with(get, func(s *load.Spec) { s.Kind = "busy-change" }),
			about:  "a revocation list of a million entries is replaced, while requests come on 16 kept connections and 4 handshakes at a time",
			change: &change{connections: 1, prepare: (*comparison).revoke, tell: tellReplaced},
		},
		{
			name:  "revoke-live",
			load:  with(get, func(s *load.Spec) { s.Kind = "change" }),
			about: "a list is replaced, and one of very many silent connections is revoked by it",
			change: &change{connections: o.liveConnections, prepare: (*comparison).revoke, tell: tellClosed(time.Second, 10*time.Millisecond),
				simulated: "BenchmarkRevokeOneOfAHundredThousand"},
		},
		{
			name:   "commit-store",
			load:   with(get, func(s *load.Spec) { s.Kind = "change" }),
			about:  "an authority is taken out of a trust store, and half of 10,000 silent connections with it",
			change: &change{connections: min(o.liveConnections, 10_000), prepare: (*comparison).withdraw, tell: tellClosed(2*time.Second, 0)},
		},
		{
			name: "device-import", load: get, own: eachEngine((*comparison).importing),
			about: "a million devices are imported through the management API",
		},
		{
			name: "device-list", load: get, own: eachEngine((*comparison).listing),
			about: "pages of a hundred of a million devices, by labels and state, through the management API",
		},
		{
			name: "device-lookup", load: get, own: eachEngine((*comparison).lookingUp),
			about: "one of a million devices connects that the node does not know yet: until it does",
		},
		{
			name: "enforce", load: get, own: (*comparison).enforcing,
			about: "h1-keepalive of clients that are devices, against the same without asking which, and the decision alone",
		},
		{
			name: "rules", load: get, own: adding("without rules", "a hundred rules"), rules: 100,
			about: "h1-keepalive under a hundred rules with conditions of every kind, none of which is met, against the same without",
		},
		{
			name: "token", load: get, own: adding("told by headers", "a signed token"), token: true,
			about: "h1-keepalive whose backend is told of clients by a signed token, against the same by headers alone",
		},
		{
			name: "issue", load: get, own: eachEngine((*comparison).issuing),
			about: "P-256 certificates for 64 who ask at once, recorded durably",
		},
		{
			name: "crl-sign", load: get, own: (*comparison).signing,
			about: "revocation lists of an authority that has revoked 100,000 certificates are signed and written",
		},
	}
}
