package config

import (
	"fmt"
	"slices"
	"time"
)

// A TargetGroup is a set of backends that do the same.
type TargetGroup struct {
	// Name is how listeners refer to the group.
	Name string `yaml:"name,required" is:"name"`

	// Protocol is what the targets speak: http (HTTP/1.1), https (HTTP/1.1 over
	// TLS), h2 (HTTP/2), grpc (gRPC, over h2), tcp (bytes, of listeners with protocol
	// tls or tcp) or tls (such bytes over TLS). With h2 and grpc the key tls says
	// that it is over TLS; without it they are spoken with prior knowledge ("h2c").
	// Default http.
	Protocol string `yaml:"protocol" one:"http|https|h2|grpc|tcp|tls" default:"http"`

	// Targets are the backends. A host name is one target, looked up for each
	// connection. dns:HOST:PORT stands for one target for each address that the name
	// has, srv:_SERVICE._PROTOCOL.NAME for one for each host of the service (RFC 2782);
	// they are looked up again when the answer is no longer good.
	Targets []Target `yaml:"targets,required"`

	// Algorithm chooses the next target: round_robin, in turn and by weight;
	// least_outstanding_requests, the one with the fewest requests under way;
	// weighted_random, by lot and by weight; hash, always the same one for what
	// hash_on says. Default round_robin.
	Algorithm string `yaml:"algorithm" one:"round_robin|least_outstanding_requests|weighted_random|hash" default:"round_robin"`

	// HashOn is by what algorithm hash keeps requests together: client (the device,
	// or the verified certificate), source_ip, flow (the connection: both addresses
	// and ports) or header:NAME. Where there is none of it, by source_ip. Default
	// client.
	HashOn string `yaml:"hash_on" default:"client" is:"hash key"`

	// AnomalyMitigation gives a target less, with algorithm weighted_random, that
	// fails more of its requests (no answer, or 5xx) than the others: on or off. It
	// takes three healthy targets. Default off.
	AnomalyMitigation string `yaml:"anomaly_mitigation" one:"off|on" default:"off"`

	// Stickiness keeps a client at the target that served it. Left out: it does not
	// matter who did.
	Stickiness *Stickiness `yaml:"stickiness"`

	// CrossZone uses the targets of all zones alike. false: those of node.zone alone,
	// as long as one of them is usable. Default true.
	CrossZone bool `yaml:"cross_zone" default:"true"`

	// SlowStart is how long it takes until a target that has become healthy has its
	// whole share; it grows evenly. Only with round_robin. Left out, or 0s: it has it
	// at once.
	SlowStart time.Duration `yaml:"slow_start" range:"0s..900s"`

	// MaxConnections is how many requests a target has at a time, all connections
	// together; of protocol tcp or tls, connections. More wait in the queue. Left out,
	// or 0: any number.
	MaxConnections int `yaml:"max_connections" range:"0..1000000"`

	// Queue is where requests wait for a target to have less than max_connections.
	Queue Queue `yaml:"queue"`

	// PassiveHealth leaves out targets that fail requests, for a while. Left out:
	// nothing is made of it.
	PassiveHealth *PassiveHealth `yaml:"passive_health"`

	// HealthCheck says how unhealthy targets are known. Left out: all are taken
	// for healthy.
	HealthCheck *HealthCheck `yaml:"health_check"`

	// FailOpen uses all targets when all are unhealthy. Default true.
	FailOpen bool `yaml:"fail_open" default:"true"`

	// Retries says what becomes of a request whose target fails.
	Retries Retries `yaml:"retries"`

	// DeregistrationDelay is how long a target that is no longer listed may
	// finish its requests. Default 300s.
	DeregistrationDelay time.Duration `yaml:"deregistration_delay" default:"300s" range:"0s..1h"`

	// ConnectTimeout bounds the making of a connection to a target. Default 5s.
	ConnectTimeout time.Duration `yaml:"connect_timeout" default:"5s" range:"1ms..5m"`

	// ConnectionTermination, with protocol tcp and tls, says which connections end
	// while bytes still pass.
	ConnectionTermination *ConnectionTermination `yaml:"connection_termination"`

	// Timeouts say when a target is given up that is gone without a word.
	Timeouts TargetTimeouts `yaml:"timeouts"`

	// TLS is how targets are verified, and what is shown to them.
	TLS *TargetTLS `yaml:"tls"`

	// ProxyProtocol tells targets of the client by a header before the first byte
	// of each connection. Connections are not shared then: each client has its
	// own.
	ProxyProtocol *Announcement `yaml:"proxy_protocol"`
}

// An Announcement is a PROXY header that targets are sent. Health checks send one
// too, with command LOCAL (UNKNOWN in version 1).
type Announcement struct {
	// Version of the PROXY protocol: 1 (text, the addresses alone) or 2. Default 2.
	Version int `yaml:"version" default:"2" range:"1..2"`

	// TLVs are further fields, with version 2: ssl (TLS version, cipher and group,
	// whether the client has shown a certificate and it is good, its common name;
	// how the listener's certificate is signed, its key, and how that has signed the
	// handshake), ssl_client_cert (the client's certificate, within ssl), authority
	// (the server name asked for), alpn, unique_id (conn_trace_id of the logs),
	// crc32c.
	TLVs []string `yaml:"tlvs" one:"ssl|ssl_client_cert|authority|alpn|unique_id|crc32c"`

	// Set are fields of your own, with version 2. One whose value names the client is
	// left out unless the client is verified, and so is one that comes out empty.
	Set []OwnTLV `yaml:"set"`
}

// A Target is a backend. It may be written as its address alone.
type Target struct {
	// Address is a host or an IP address with a port, such as 10.0.0.7:8080, or
	// dns:HOST:PORT or srv:_SERVICE._PROTOCOL.NAME. Each is once in a group.
	Address string `yaml:"address,required,alone" is:"target"`

	// Weight is its share, compared with the weights of the others; 0: it gets no
	// requests. Default 1.
	Weight int `yaml:"weight" default:"1" range:"0..1000"`

	// Zone is where it is, for cross_zone: false.
	Zone string `yaml:"zone" is:"name"`
}

// Retries say what becomes of a request whose target cannot be reached: it is
// offered to another one. A request of which a byte was sent goes to no other
// target. It is sent once more to the same one if the connection, kept from a
// request before, turns out to be dead and the method is idempotent (GET, HEAD,
// OPTIONS, PUT, DELETE; RFC 9110 section 9.2.2).
type Retries struct {
	// Attempts is how many targets are tried, the first included. Default 2.
	Attempts int `yaml:"attempts" default:"2" range:"1..10"`
}

func (g *TargetGroup) check(c *checker, path string) {
	g.checkTermination(c, path)
	if g.ProxyProtocol != nil {
		g.ProxyProtocol.check(c, path+".proxy_protocol")
	}
	g.checkTLS(c, path)
	first := map[string]int{}
	for i, t := range g.Targets {
		at := fmt.Sprintf("%s.targets[%d]", path, i)
		if j, twice := first[t.Address]; twice && t.Address != "" {
			c.fault(at, quoted(t.Address)+" again", "each target once", fmt.Sprintf("it is targets[%d] already", j))
			continue
		}
		first[t.Address] = i
	}
	g.checkBalance(c, path)
	if g.HealthCheck != nil {
		g.HealthCheck.checkTimes(c, path+".health_check")
		if !c.doc.Refused(path+".protocol") && !c.doc.Refused(path+".health_check.protocol") {
			g.HealthCheck.check(c, path+".health_check", g)
		}
	}
}

func (a *Announcement) check(c *checker, path string) {
	a.checkSet(c, path)
	switch {
	case c.doc.Refused(path + ".version"):
	case a.Version == 1 && len(a.TLVs) > 0:
		c.fault(path+".tlvs", "tlvs with version 1", "version 2", "leave it out: version 1 has the addresses alone")
	case slices.Contains(a.TLVs, "ssl_client_cert") && !slices.Contains(a.TLVs, "ssl"):
		c.fault(path+".tlvs", "ssl_client_cert without ssl", "both", "the certificate is a part of ssl")
	}
}
