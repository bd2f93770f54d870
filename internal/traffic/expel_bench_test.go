package traffic

import (
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign.dev"
	"countersign.dev/internal/snapshot"
	"countersign.dev/internal/testpki"
	"countersign.dev/internal/traffic/accesslog"
	"countersign.dev/internal/traffic/forward/http"
	"countersign.dev/internal/traffic/forward/idheader"
	"countersign.dev/internal/traffic/handshake"
	"countersign.dev/internal/traffic/live"
	"countersign.dev/internal/traffic/verify"
	"countersign.dev/internal/traffic/verify/revocation"
	"countersign.dev/internal/traffic/verify/revocation/crl"
)

// What it costs to find and ask those whom a publication concerns: everything is
// real but the sockets.

// A silent front is a client's side to which nothing happens but its end.
type silentFront struct{ ended *atomic.Int64 }

func (silentFront) Await(*http.Settings, time.Duration) http.Arrival { return http.Ended }
func (silentFront) Rest()                                            {}
func (silentFront) Interrupt()                                       {}
func (silentFront) Cut()                                             {}
func (silentFront) Finish(bool)                                      {}
func (silentFront) Closing() bool                                    { return false }
func (silentFront) Reset(*countersign.Denial)                        {}
func (f silentFront) Expel(*countersign.Denial)                      { f.ended.Add(1) }

// A simulation is a node with many sessions.
type simulation struct {
	*Node
	b       *testing.B
	server  *testpki.Certificate
	root    *testpki.Certificate
	devices []*testpki.Certificate
	ended   atomic.Int64
	entered []*live.Entry
}

func simulate(b *testing.B, sessions, devices int) *simulation {
	s := &simulation{Node: New(Config{}), b: b, root: testpki.NewRoot(b, "Fleet Root")}
	b.Cleanup(func() { s.Drain(b.Context()) })
	s.server = testpki.NewRoot(b, "Web Root").Server("localhost")
	key := s.root.Client("key").Key // one for all: to make many takes long
	for i := range devices {
		s.devices = append(s.devices, s.root.Client(fmt.Sprintf("MacID-%d", i), testpki.WithKey(key)))
	}
	first := s.under(verify.Config{Revocation: s.list(1)})
	s.current.Store(first)
	l := first.Listeners[0]
	var all sync.WaitGroup
	for part := range 2 {
		all.Go(func() {
			for i := part; i < sessions; i += 2 {
				c := &session{node: s.Node, name: l.Name, snap: first, listener: l, policy: l.Policies.For(""), front: silentFront{&s.ended},
					connection: &accesslog.Connection{Listener: l.Name}}
				cert, err := x509.ParseCertificate(s.devices[i%devices].X509.Raw)
				if err != nil {
					b.Error(err)
					return
				}
				c.shook.Chain, c.denial = c.policy.Admit([]*x509.Certificate{cert}, time.Now(), nil)
				c.identify()
				rests := c.restsOn()
				c.shook.Rest()
				c.admitted(rests)
			}
		})
	}
	all.Wait()
	if n := s.admitted.Len(); n != sessions {
		b.Fatalf("%d sessions are admitted, want %d", n, sessions)
	}
	return s
}

// list is a revocation list with these certificates.
func (s *simulation) list(number int64, revoked ...*testpki.Certificate) revocation.Config {
	lists, err := crl.Parse("test.crl", s.root.CRL(testpki.CRLNumber(number), testpki.Revoke(revoked...)))
	if err != nil {
		s.b.Fatal(err)
	}
	return revocation.Config{Lists: lists}
}

// under is a snapshot whose one listener verifies against that store.
func (s *simulation) under(cfg verify.Config) *snapshot.Snapshot {
	cfg.Name, cfg.Anchors = "fleet", []*x509.Certificate{s.root.X509}
	store, err := verify.New(cfg)
	if err != nil {
		s.b.Fatal(err)
	}
	policies, err := handshake.NewPolicies(&handshake.Policy{Name: "default", Mode: countersign.ClientAuthVerify, Store: store}, nil)
	if err != nil {
		s.b.Fatal(err)
	}
	cert, problems := handshake.LoadCertificate(s.server.PEM(), s.server.KeyPEM())
	for _, p := range problems {
		if !p.Warning {
			s.b.Fatal(p)
		}
	}
	server, err := handshake.New(handshake.Config{Listener: "devices", Certificates: []handshake.Certificate{cert}, Policies: policies})
	if err != nil {
		s.b.Fatal(err)
	}
	plan, err := idheader.Compile(idheader.Config{Dialects: []idheader.Dialect{"aws"}})
	if err != nil {
		s.b.Fatal(err)
	}
	return &snapshot.Snapshot{MaxConnections: 1, Listeners: []*snapshot.Listener{{Name: "devices", TLS: server, Policies: policies, Identity: plan}}}
}

// publish measures until that many have ended.
func (s *simulation) publish(next *snapshot.Snapshot, ended int64) {
	s.ended.Store(0)
	cpu, began := used(s.b), time.Now()
	if err := s.Publish(next, Sockets{}); err != nil {
		s.b.Fatal(err)
	}
	for s.ended.Load() < ended {
		time.Sleep(100 * time.Microsecond)
	}
	s.b.ReportMetric(float64(time.Since(began).Microseconds())/1e3, "ms")
	s.b.ReportMetric(float64((used(s.b)-cpu).Microseconds())/1e3, "cpu-ms")
}

// used is the CPU time of this process.
func used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkRevokeOneOfAHundredThousand(b *testing.B) {
	s := simulate(b, 100_000, 20_000)
	s.publish(s.under(verify.Config{Revocation: s.list(2, s.devices[0])}), 5)
}

func BenchmarkRefuseHalfOfTenThousand(b *testing.B) {
	s := simulate(b, 10_000, 10_000)
	var even []verify.Filter
	var names []string
	for i := 0; i < 10; i += 2 {
		names = append(names, fmt.Sprintf("*%d", i))
	}
	even = append(even, verify.Filter{SubjectCN: names})
	s.publish(s.under(verify.Config{Accept: even, Revocation: s.list(1)}), 5000)
}

func BenchmarkAskAHundredThousand(b *testing.B) {
	s := simulate(b, 100_000, 20_000)
	s.publish(s.under(verify.Config{Accept: []verify.Filter{{SubjectCN: []string{"*1"}}}, Revocation: s.list(1)}), 90_000)
}
