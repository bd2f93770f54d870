package grpcinterop

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/grpclog"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"countersign.dev/test/gateway"
)

func TestMain(m *testing.M) {
	// The interoperability tests end the process when they fail.
	grpclog.SetLoggerV2(failing{grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)})
	goleak.VerifyTestMain(m)
}

// Failing is a log whose fatal messages are panics with a failure.
type failing struct{ grpclog.LoggerV2 }

type failure string

func (failing) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (failing) Fatalln(args ...any)               { panic(failure(fmt.Sprintln(args...))) }
func (failing) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// The list is that of google.golang.org/grpc/interop/client without what needs
// credentials of a cloud, and without orca_oob, for which a server would have to
// report more often than twice a minute, which only tests of gRPC itself can
// make it do. The tests with compression are in compression_test.go. Neither
// client nor server of gRPC-Go has cacheable_unary.
func TestGRPCThroughAGateway(t *testing.T) {
	r := newRig(t)
	plain := func(do func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn) {
		return func(ctx context.Context, c *grpc.ClientConn) { do(ctx, testgrpc.NewTestServiceClient(c)) }
	}
	for _, c := range []struct {
		name string
		do   func(context.Context, *grpc.ClientConn)
	}{
		{"empty_unary", plain(interop.DoEmptyUnaryCall)},
		{"large_unary", plain(interop.DoLargeUnaryCall)},
		{"client_streaming", plain(interop.DoClientStreaming)},
		{"server_streaming", plain(interop.DoServerStreaming)},
		{"ping_pong", plain(interop.DoPingPong)},
		{"empty_stream", plain(interop.DoEmptyStream)},
		{"timeout_on_sleeping_server", plain(interop.DoTimeoutOnSleepingServer)},
		{"cancel_after_begin", plain(interop.DoCancelAfterBegin)},
		{"cancel_after_first_response", plain(interop.DoCancelAfterFirstResponse)},
		{"custom_metadata", plain(interop.DoCustomMetadata)},
		{"status_code_and_message", plain(interop.DoStatusCodeAndMessage)},
		{"special_status_message", plain(interop.DoSpecialStatusMessage)},
		{"unimplemented_method", interop.DoUnimplementedMethod},
		{"unimplemented_service", func(ctx context.Context, c *grpc.ClientConn) {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(c))
		}},
		{"pick_first_unary", func(ctx context.Context, c *grpc.ClientConn) {
			interop.DoPickFirstUnary(ctx, testgrpc.NewTestServiceClient(c))
		}},
		{"orca_per_rpc", func(ctx context.Context, _ *grpc.ClientConn) {
			const policy = `{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`
			c := r.dial(r.device, grpc.WithDisableServiceConfig(), grpc.WithDefaultServiceConfig(policy))
			defer c.Close()
			interop.DoORCAPerRPCTest(ctx, testgrpc.NewTestServiceClient(c))
		}},
		{"rpc_soak", func(ctx context.Context, c *grpc.ClientConn) {
			interop.DoSoakTest(ctx, soak(r, func() (*grpc.ClientConn, func()) { return c, func() {} }))
		}},
		{"channel_soak", func(ctx context.Context, _ *grpc.ClientConn) {
			interop.DoSoakTest(ctx, soak(r, func() (*grpc.ClientConn, func()) {
				c := r.dial(r.device)
				return c, func() { c.Close() }
			}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if reason := recover(); reason != nil {
					message, ok := reason.(failure)
					if !ok {
						panic(reason)
					}
					t.Fatal(string(message))
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), gateway.Patience)
			defer cancel()
			c.do(ctx, r.client)
		})
	}
}

func soak(r *rig, channel func() (*grpc.ClientConn, func())) interop.SoakTestConfig {
	const latency = time.Minute // which is for others to judge
	return interop.SoakTestConfig{
		RequestSize: 271828, ResponseSize: 314159, NumWorkers: 4, Iterations: 40,
		PerIterationMaxAcceptableLatency: latency, OverallTimeout: latency,
		ServerAddr: r.gateway.Address("127.0.0.1:0"), ChannelForTest: channel,
	}
}
