package soak

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Backends are two targets of each protocol. Each refuses a request that does
// not come with the identity of the client that says it has sent it.
type backends struct {
	t            *testing.T
	web, h2, rpc [2]string // addresses
	ends         []func()
	tunnels      sync.WaitGroup
	once         sync.Once
}

// deviceField is where a client says who it is, and subjectField where the
// gateway does.
const deviceField, subjectField = "X-Device", "X-Amzn-Mtls-Clientcert-Subject"

// content is what bodies are taken from.
var content = func() []byte {
	b, r := make([]byte, 2<<20), rand.New(rand.NewPCG(1, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

func newBackends(t *testing.T) *backends {
	t.Helper()
	b := &backends{t: t}
	t.Cleanup(b.stop)
	for i := range 2 {
		b.web[i], b.h2[i], b.rpc[i] = b.serve(false), b.serve(true), b.serveRPC()
	}
	return b
}

// stop ends them all.
func (b *backends) stop() {
	b.once.Do(func() {
		for _, end := range b.ends {
			end()
		}
		b.tunnels.Wait()
	})
}

// config is one of six configurations, that serve the same to clients.
func (b *backends) config(i int) string {
	targets := func(all [2]string) string {
		return `"` + strings.Join([][]string{all[:], all[:1], all[1:]}[i%3], `", "`) + `"`
	}
	return strings.NewReplacer("DIALECTS", []string{"aws", "aws, xfcc"}[i%2],
		"WEB", targets(b.web), "H2", targets(b.h2), "RPC", targets(b.rpc)).Replace(`
node: {admin: off}
logs: {connection: {path: "-", format: json}, access: {path: "-", format: json}}
listeners:
  - name: web
    address: "127.0.0.1:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [DIALECTS]
    timeouts: {keep_alive: 2s}
    default: {forward: web}
  - name: h2
    address: "127.0.0.2:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [DIALECTS]
    timeouts: {keep_alive: 2s}
    default: {forward: h2}
  - name: rpc
    address: "127.0.0.3:0"
    protocol: https
    certificates: [{cert: server.crt, key: server.key}]
    client_auth: {mode: verify, trust_store: fleet}
    identity_headers: [DIALECTS]
    timeouts: {keep_alive: 2s}
    default: {forward: rpc}
trust_stores:
  - {name: fleet, ca_bundle: [ca.crt], revocation: {crls: [crl.pem]}}
target_groups:
  - {name: web, targets: [WEB], deregistration_delay: 1h, health_check: {interval: 1s}}
  - {name: h2, protocol: h2, targets: [H2], deregistration_delay: 1h, health_check: {interval: 1s}}
  - {name: rpc, protocol: grpc, targets: [RPC], deregistration_delay: 1h, health_check: {interval: 1s}}
`)
}

// serve runs a web server and returns its address.
func (b *backends) serve(h2 bool) string {
	ln := b.listen()
	s := &http.Server{Handler: http.HandlerFunc(b.answer), Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(!h2)
	s.Protocols.SetUnencryptedHTTP2(h2)
	ended := make(chan struct{})
	go func() { defer close(ended); s.Serve(ln) }()
	b.ends = append(b.ends, func() { s.Close(); <-ended })
	return ln.Addr().String()
}

func (b *backends) listen() net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	return ln
}

func (b *backends) answer(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/" { // the health check
		return
	}
	if is, says := q.Header.Values(subjectField), q.Header.Get(deviceField); !slices.Equal(is, []string{"CN=" + says}) {
		http.Error(w, fmt.Sprintf("%s came as %q", says, is), http.StatusConflict)
		return
	}
	switch q.URL.Path {
	case "/get":
		from, _ := strconv.Atoi(q.FormValue("from"))
		to, _ := strconv.Atoi(q.FormValue("to"))
		w.Write(content[from:to])
	case "/post":
		body, err := io.ReadAll(q.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	case "/websocket":
		b.tunnel(w, q)
	}
}

// tunnel is a WebSocket (RFC 6455) whose frames it does not look into: all that
// comes is sent back.
func (b *backends) tunnel(w http.ResponseWriter, q *http.Request) {
	key := q.Header.Get("Sec-WebSocket-Key")
	if q.Header.Get("Upgrade") != "websocket" || key == "" {
		http.Error(w, "not an upgrade to WebSocket", http.StatusUpgradeRequired)
		return
	}
	b.tunnels.Add(1)
	defer b.tunnels.Done()
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+accept(key)+"\r\n\r\n")
	// Not spliced: the pipes of that stay open until the next collection.
	io.Copy(struct{ io.Writer }{conn}, io.MultiReader(io.LimitReader(buffered, int64(buffered.Reader.Buffered())), conn))
}

// accept is the answer to a Sec-WebSocket-Key (RFC 6455 section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// serveRPC runs the server of gRPC's interoperability tests.
func (b *backends) serveRPC() string {
	ln := b.listen()
	s := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, in any, call *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := known(ctx); err != nil && call.FullMethod != healthgrpc.Health_Check_FullMethodName {
				return nil, err
			}
			return next(ctx, in)
		}),
		grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := known(stream.Context()); err != nil {
				return err
			}
			return next(server, stream)
		}))
	healthgrpc.RegisterHealthServer(s, health.NewServer())
	testgrpc.RegisterTestServiceServer(s, interop.NewTestServer())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Serve(ln) }()
	b.ends = append(b.ends, func() { s.Stop(); <-ended })
	return ln.Addr().String()
}

func known(ctx context.Context) error {
	m, _ := metadata.FromIncomingContext(ctx)
	is, says := m.Get(subjectField), m.Get(deviceField)
	if len(says) != 1 || !slices.Equal(is, []string{"CN=" + says[0]}) {
		return status.Errorf(codes.AlreadyExists, "%q came as %q", says, is)
	}
	return nil
}

// same fails unless got is want.
func same(want, got []byte) error {
	if bytes.Equal(want, got) {
		return nil
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	return fmt.Errorf("%d bytes came back, not %d; they differ from byte %d on", len(got), len(want), at)
}
