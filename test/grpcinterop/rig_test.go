package grpcinterop

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // of messages, for both sides
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/orca"

	"countersign.dev/internal/testpki"
	"countersign.dev/test/gateway"
)

// A rig is a gateway between clients and the server of the interoperability
// tests, whose health it checks.
type rig struct {
	t        testing.TB
	gateway  *gateway.Gateway
	config   string
	health   *health.Server
	device   *testpki.Certificate
	revoked  *testpki.Certificate
	client   *grpc.ClientConn // of device
	heard    chan metadata.MD // of calls of EmptyCall
	begun    chan struct{}    // a message of StreamingInputCall has come
	canceled chan error       // of calls of StreamingInputCall, how they ended
}

// config is verify mode where a client that is refused is told.
const config = `
node: {admin: off}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - name: devices
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet, on_failure: respond}
    identity_headers: [aws, rfc9440]
    default: {forward: app}
trust_stores:
  - {name: fleet, ca_bundle: [ca.crt], revocation: {crls: [crl.pem]}}
target_groups:
  - name: app
    protocol: grpc
    targets: ["%s"]
    fail_open: false
    health_check: {healthy: 1, unhealthy: 1}
`

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{
		t: t, gateway: gateway.New(t), health: health.NewServer(),
		heard: make(chan metadata.MD, 1), begun: make(chan struct{}, 1), canceled: make(chan error, 1),
	}
	target := r.serve()
	r.device, r.revoked = r.gateway.Fleet.Client("device-1"), r.gateway.Fleet.Client("device-2")
	r.gateway.Write("crl.pem", r.list(1, r.revoked))
	r.config = fmt.Sprintf(config, target)
	r.gateway.Start(r.config)
	r.client = r.dial(r.device)
	return r
}

// list is a revocation list with these certificates.
func (r *rig) list(number int64, revoked ...*testpki.Certificate) []byte {
	return testpki.CRLPEM(r.gateway.Fleet.CRL(testpki.CRLNumber(number), testpki.Revoke(revoked...)))
}

// serve runs the server, without TLS, and returns its address.
func (r *rig) serve() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	s := grpc.NewServer(orca.CallMetricsServerOption(nil), grpc.StatsHandler(watchCompression{}))
	healthgrpc.RegisterHealthServer(s, r.health)
	testgrpc.RegisterTestServiceServer(s, server{interop.NewTestServer(), r})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	r.t.Cleanup(func() {
		r.health.Shutdown()
		s.Stop()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
	return ln.Addr().String()
}

// dial returns a client that shows a certificate; nil: none.
func (r *rig) dial(shown *testpki.Certificate, more ...grpc.DialOption) *grpc.ClientConn {
	r.t.Helper()
	c := &tls.Config{RootCAs: r.gateway.Web.Pool(), ServerName: "localhost"}
	if shown != nil {
		c.Certificates = []tls.Certificate{shown.TLS()}
	}
	conn, err := grpc.NewClient("passthrough:///"+r.gateway.Address("127.0.0.1:0"), append(more,
		grpc.WithTransportCredentials(credentials.NewTLS(c)), grpc.WithStatsHandler(watchCompression{}))...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// A server is that of the interoperability tests with what it leaves to others,
// and with news of what the tests of this package ask for.
type server struct {
	testgrpc.TestServiceServer
	r *rig
}

func (s server) EmptyCall(ctx context.Context, in *testgrpc.Empty) (*testgrpc.Empty, error) {
	m, _ := metadata.FromIncomingContext(ctx)
	select {
	case s.r.heard <- m:
	default: // nobody asks
	}
	return s.TestServiceServer.EmptyCall(ctx, in)
}

func (s server) UnaryCall(ctx context.Context, in *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	if err := judgeCompression(ctx, in.GetExpectCompressed(), in.GetResponseCompressed()); err != nil {
		return nil, err
	}
	out, err := s.TestServiceServer.UnaryCall(ctx, in)
	if in.GetFillServerId() && out != nil {
		out.ServerId = "the only one"
	}
	return out, err
}

func (s server) StreamingOutputCall(in *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	for _, p := range in.GetResponseParameters() {
		if err := judgeCompression(stream.Context(), nil, p.GetCompressed()); err != nil {
			return err
		}
	}
	return s.TestServiceServer.StreamingOutputCall(in, stream)
}

func (s server) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	err := s.TestServiceServer.StreamingInputCall(inputs{stream, s.r})
	select {
	case s.r.canceled <- stream.Context().Err():
	default:
	}
	return err
}

// Inputs is a stream whose messages are held against what they say of
// themselves.
type inputs struct {
	testgrpc.TestService_StreamingInputCallServer
	r *rig
}

func (s inputs) Recv() (*testgrpc.StreamingInputCallRequest, error) {
	in, err := s.TestService_StreamingInputCallServer.Recv()
	select {
	case s.r.begun <- struct{}{}:
	default:
	}
	if err == nil {
		err = judgeCompression(s.Context(), in.GetExpectCompressed(), nil)
	}
	return in, err
}
