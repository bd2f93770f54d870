package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"countersign.dev/internal/traffic/forward/balance"
	"countersign.dev/internal/traffic/forward/health"
	"countersign.dev/internal/traffic/forward/upstream/h2pool"
	"countersign.dev/internal/traffic/forward/upstream/pool"
	"countersign.dev/internal/traffic/forward/upstream/resolve"
	"countersign.dev/internal/traffic/forward/upstream/secure"
	"countersign.dev/internal/traffic/forward/upstream/shares"
	"countersign.dev/internal/traffic/keepalive"
	"countersign.dev/internal/wire/proxyproto"
)

// A GroupConfig is a target group as the configuration describes it.
type GroupConfig struct {
	Name                string
	Protocol            string                  // of its targets: http | https | h2 | grpc | tcp | tls; "": http
	TLS                 *secure.Client          // https and tls need it, h2 and grpc may have it; nil: targets are reached without TLS
	Targets             []string                // host:port each, or a name as Dynamic knows it; none twice
	Terms               map[string]shares.Terms // of those Targets that do not have weight 1 and no zone
	Algorithm           string                  // as balance.New names it; "": round_robin
	HashOn              string                  // of algorithm hash: client | source_ip | flow | header:NAME; "": client
	AnomalyMitigation   bool                    // a target that fails more than the others gets less
	Zone                string                  // where this node is
	OwnZone             bool                    // targets of other zones are used only if none of the node's own can be
	SlowStart           time.Duration           // how long the share of a target grows after it became healthy; 0: it has it at once
	MaxConnections      int                     // requests that a target has at a time; 0: any number
	Queue               QueueConfig             // with MaxConnections
	Passive             *shares.PassiveHealth   // nil: failed requests are no reason to leave a target out
	Stickiness          *Stickiness             // nil: clients are not kept at targets
	Proxy               proxyproto.Plan         // the PROXY header that connections begin with; zero: none
	Health              *health.Config          // nil: always healthy
	FailOpen            bool                    // all unhealthy: use all of them
	Attempts            int                     // targets tried for one request, the first included: 1 to 10; 0: 2
	ConnectTimeout      time.Duration           // 0: 10s, AWS's
	DeregistrationDelay time.Duration           // how long connections of a removed target may finish; 0: 300s, AWS's; negative: not at all
	Termination         *Termination            // nil: Deregistration
	KeepAlive           *keepalive.Settings     // nil: as the net package has it
	IdleTimeout         time.Duration           // an idle connection is not used after this; 0: 55s, just below the 60s of many servers
	MaxIdle             int                     // idle connections kept per target; 0: 1024; negative: none
}

// protocols are what targets speak: HTTP/1.1, over TLS or not; HTTP/2, over TLS
// or with prior knowledge (RFC 9113 section 3.3); gRPC over it; bytes, whatever
// they mean, over TLS or not. The first is the default.
var protocols = [...]string{"http", "https", "h2", "grpc", "tcp", "tls"}

// A plan is a GroupConfig found good, with defaults and what is made of it.
type plan struct {
	GroupConfig
	algorithm balance.Algorithm
	hashOn    hashOn
	checker   health.Checker // nil: always healthy
	check     health.Config  // with defaults; zero: always healthy
}

// prepare returns the plan for c, or every fault of c.
func prepare(c GroupConfig) (plan, error) {
	p := plan{GroupConfig: c}
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("target group %q: %w", c.Name, err))
		}
	}
	if c.Name == "" {
		fault(errors.New("name: empty, want a name"))
	}
	if !slices.Contains(protocols[:], cmp.Or(c.Protocol, protocols[0])) {
		fault(fmt.Errorf("protocol: %q, want http, https, h2, grpc, tcp or tls", c.Protocol))
	}
	fault(fitting(c))
	for i, address := range c.Targets {
		if Dynamic(address) {
			fault(resolve.Check(address))
		} else {
			fault(checkAddress(address))
		}
		if slices.Contains(c.Targets[:i], address) {
			fault(fmt.Errorf("targets: %q is there twice", address))
		}
	}
	var err error
	p.algorithm, err = balance.New(c.Algorithm)
	fault(err)
	fault(p.prepareBalance())
	if c.Health != nil {
		check := *c.Health
		check.Proxy = c.Proxy.Version
		p.check = check.WithDefaults()
		if p.checker, err = health.New(check); err != nil {
			fault(fmt.Errorf("health_check: %w", err))
		}
	}
	if v := p.Proxy.Version; v < 0 || v > 2 {
		fault(fmt.Errorf("proxy_protocol: version %d, want 1 or 2", v))
	}
	if p.Attempts < 0 || p.Attempts > balance.MaxTried+1 {
		fault(fmt.Errorf("attempts: %d, want 1 to %d", p.Attempts, balance.MaxTried+1))
	}
	if p.ConnectTimeout < 0 {
		fault(fmt.Errorf("connect timeout: %v, want more than 0", p.ConnectTimeout))
	}
	if p.IdleTimeout < 0 {
		fault(fmt.Errorf("idle timeout: %v, want more than 0", p.IdleTimeout))
	}

	or(&p.Protocol, protocols[0])
	or(&p.Algorithm, "round_robin")
	or(&p.Attempts, 2)
	or(&p.ConnectTimeout, 10*time.Second)
	or(&p.DeregistrationDelay, 300*time.Second)
	or(&p.IdleTimeout, 55*time.Second)
	or(&p.MaxIdle, 1024)
	return p, errors.Join(faults...)
}

// prepareBalance completes what says how requests are shared out.
func (p *plan) prepareBalance() error {
	var faults []error
	for address, t := range p.Terms {
		if t.Weight < 0 {
			faults = append(faults, fmt.Errorf("targets: %q has weight %d, want 0 or more", address, t.Weight))
		}
	}
	if p.Algorithm == "hash" {
		var err error
		p.hashOn, err = parseHashOn(cmp.Or(p.HashOn, "client"))
		faults = append(faults, err)
	}
	or(&p.Queue.Length, 1000)
	or(&p.Queue.Timeout, 10*time.Second)
	if p.Passive != nil {
		passive := p.Passive.WithDefaults()
		p.Passive = &passive
	}
	if p.SlowStart < 0 || p.MaxConnections < 0 {
		faults = append(faults, fmt.Errorf("slow start %v, max connections %d: want 0 or more", p.SlowStart, p.MaxConnections))
	}
	return errors.Join(faults...)
}

// pooling is what p says about connections for one exchange at a time.
func (p *plan) pooling() pool.Settings {
	return pool.Settings{ConnectTimeout: p.ConnectTimeout, IdleTimeout: p.IdleTimeout, MaxIdle: p.MaxIdle}
}

// sharing is what p says about connections over HTTP/2.
func (p *plan) sharing() h2pool.Settings {
	return h2pool.Settings{ConnectTimeout: p.ConnectTimeout, IdleTimeout: p.IdleTimeout}
}

func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && host == "" {
		err = errors.New("no host")
	}
	if err == nil {
		if n, e := strconv.ParseUint(port, 10, 16); e != nil || n == 0 {
			err = fmt.Errorf("port %q is not a number from 1 to 65535", port)
		}
	}
	if err != nil {
		return fmt.Errorf("targets: %q, want host:port such as 10.0.0.5:8080 or [fd00::5]:8080: %w", address, err)
	}
	return nil
}
