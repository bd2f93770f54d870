package grpcinterop

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"countersign.dev/test/gateway"
)

// call makes a call and returns what it was answered.
func (r *rig) call(c *grpc.ClientConn, headers ...string) *status.Status {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), headers...), gateway.Patience)
	defer cancel()
	_, err := testgrpc.NewTestServiceClient(c).EmptyCall(ctx, &testgrpc.Empty{})
	return status.Convert(err)
}

func TestAServerLearnsWhoTheClientIsFromMetadata(t *testing.T) {
	r := newRig(t)
	// What a client says of itself is removed, in any spelling that a gRPC server
	// might take for the header.
	said := r.call(r.client, "x-amzn-mtls-clientcert-subject", "CN=admin", "x-amzn-mtls-clientcert-serial-number", "1",
		"client-cert", ":AAAA:", "x-amzn-mtls-clientcert-leaf", "forged", "x-ssl-client-s-dn", "CN=admin", "x-own", "kept")
	if said.Code() != codes.OK {
		t.Fatal(said)
	}
	heard := <-r.heard
	if got := heard.Get("x-amzn-mtls-clientcert-subject"); len(got) != 1 || got[0] != "CN=device-1" {
		t.Errorf("the subject is said to be %q", got)
	}
	if got := heard.Get("x-amzn-mtls-clientcert-serial-number"); len(got) != 1 || !strings.EqualFold(got[0], fmt.Sprintf("%x", r.device.X509.SerialNumber)) {
		t.Errorf("the serial number is said to be %q", got)
	}
	if got := heard.Get("client-cert"); len(got) != 1 || len(got[0]) < len(r.device.X509.Raw) {
		t.Errorf("the certificate is said to be %q", got)
	}
	if got := heard.Get("x-ssl-client-s-dn"); len(got) != 0 {
		t.Errorf("a header of another dialect was let through: %q", got)
	}
	if got := heard.Get("x-own"); len(got) != 1 || got[0] != "kept" {
		t.Errorf("metadata of the client's own: %q", got)
	}
}

func TestAClientThatIsRefusedGetsPermissionDenied(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]*grpc.ClientConn{
		"revoked": r.dial(r.revoked), "without a certificate": r.dial(nil), "of others": r.dial(r.gateway.Web.Client("device-1")),
	} {
		if said := r.call(c, "x-amzn-mtls-clientcert-subject", "CN=device-1"); said.Code() != codes.PermissionDenied {
			t.Errorf("%s: %v", name, said)
		}
	}
	select {
	case m := <-r.heard:
		t.Errorf("the server was called: %v", m)
	default:
	}
	if said := r.call(r.client); said.Code() != codes.OK {
		t.Error(said)
	}
}

func TestARevocationReachesAnOpenConnection(t *testing.T) {
	r := newRig(t)
	if said := r.call(r.client); said.Code() != codes.OK {
		t.Fatal(said)
	}
	r.gateway.Reload("crl.pem", r.list(2, r.revoked, r.device))
	for range 2 { // on that connection, and on another one if it is closed
		if said := r.call(r.client); said.Code() != codes.PermissionDenied || !strings.Contains(said.Message(), "revoked") {
			t.Error(said)
		}
	}
	r.gateway.Reload("crl.pem", r.list(3, r.revoked))
	if said := r.call(r.client); said.Code() != codes.OK {
		t.Error(said)
	}
}

func TestNoHealthyServerIsUnavailable(t *testing.T) {
	r := newRig(t)
	r.gateway.Reload("countersign.yaml", []byte(strings.Replace(r.config, "healthy: 1,", "interval: 100ms, healthy: 1,", 1)))
	until := func(want codes.Code) {
		t.Helper()
		said := r.call(r.client)
		for end := time.Now().Add(gateway.Patience); said.Code() != want; said = r.call(r.client) {
			if time.Now().After(end) {
				t.Fatalf("%v, want %v", said, want)
			}
		}
		if want == codes.Unavailable && !strings.Contains(said.Message(), "NoHealthyTarget") {
			t.Error(said)
		}
	}
	until(codes.OK)
	r.health.SetServingStatus("", healthgrpc.HealthCheckResponse_NOT_SERVING)
	until(codes.Unavailable)
	r.health.SetServingStatus("", healthgrpc.HealthCheckResponse_SERVING)
	until(codes.OK)
}

func TestACallThatIsCanceledIsCanceledAtTheServer(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := testgrpc.NewTestServiceClient(r.client).StreamingInputCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&testgrpc.StreamingInputCallRequest{}); err != nil {
		t.Fatal(err)
	}
	<-r.begun
	cancel()
	select {
	case err := <-r.canceled:
		if err != context.Canceled {
			t.Errorf("for the server the call ended with %v", err)
		}
	case <-time.After(gateway.Patience):
		t.Error("the server does not learn that the call was canceled")
	}
}
