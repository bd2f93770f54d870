package grpcinterop

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"countersign.dev/test/gateway"
)

// The tests with compression, which gRPC-Go's own client does not have. gRPC-Go
// compresses all messages of a call or none.
func TestCompressionThroughAGateway(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), gateway.Patience)
	defer cancel()
	client := testgrpc.NewTestServiceClient(r.client)
	yes, no := &testgrpc.BoolValue{Value: true}, &testgrpc.BoolValue{}
	payload := interop.ClientNewPayload(testgrpc.PayloadType_COMPRESSABLE, 271828)
	compressed := grpc.UseCompressor(gzip.Name)

	t.Run("client_compressed_unary", func(t *testing.T) {
		for _, c := range []struct {
			expect  *testgrpc.BoolValue
			options []grpc.CallOption
			want    codes.Code
		}{
			{yes, nil, codes.InvalidArgument}, // so that the test is known to see it
			{yes, []grpc.CallOption{compressed}, codes.OK},
			{no, nil, codes.OK},
		} {
			out, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{ExpectCompressed: c.expect, ResponseSize: 314159, Payload: payload}, c.options...)
			if status.Code(err) != c.want || err == nil && len(out.GetPayload().GetBody()) != 314159 {
				t.Errorf("expected compressed %v: %v, want %v", c.expect.GetValue(), err, c.want)
			}
		}
	})
	t.Run("client_compressed_streaming", func(t *testing.T) {
		stream, err := client.StreamingInputCall(ctx, compressed)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := stream.Send(&testgrpc.StreamingInputCallRequest{ExpectCompressed: yes, Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := stream.CloseAndRecv(); err != nil || out.GetAggregatedPayloadSize() != 2*271828 {
			t.Errorf("%v %v", out, err)
		}
	})
	t.Run("server_compressed_unary", func(t *testing.T) {
		for _, want := range []*testgrpc.BoolValue{yes, no} {
			ctx, seen := watch(ctx)
			_, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{ResponseCompressed: want, ResponseSize: 314159, Payload: payload})
			if err != nil || seen.Load() != want.GetValue() {
				t.Errorf("compressed %v, want %v; %v", seen.Load(), want.GetValue(), err)
			}
		}
	})
	t.Run("server_compressed_streaming", func(t *testing.T) {
		for _, want := range []*testgrpc.BoolValue{yes, no} {
			ctx, seen := watch(ctx)
			stream, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{
				{Compressed: want, Size: 31415}, {Compressed: want, Size: 92653},
			}})
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{31415, 92653} {
				out, err := stream.Recv()
				if err != nil || len(out.GetPayload().GetBody()) != size || seen.Load() != want.GetValue() {
					t.Errorf("%d bytes, want %d; compressed %v, want %v; %v", len(out.GetPayload().GetBody()), size, seen.Load(), want.GetValue(), err)
				}
			}
			if _, err := stream.Recv(); err != io.EOF {
				t.Error(err)
			}
		}
	})
}

// WatchCompression notes in the context of a call whether the last message that
// came was compressed.
type watchCompression struct{}

type compressionKey struct{}

// watch returns a context for a call, and where it is noted.
func watch(ctx context.Context) (context.Context, *atomic.Bool) {
	seen := new(atomic.Bool)
	return context.WithValue(ctx, compressionKey{}, seen), seen
}

func (watchCompression) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if ctx.Value(compressionKey{}) == nil {
		ctx, _ = watch(ctx)
	}
	return ctx
}

func (watchCompression) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if m, ok := event.(*stats.InPayload); ok {
		ctx.Value(compressionKey{}).(*atomic.Bool).Store(m.CompressedLength != m.Length)
	}
}

func (watchCompression) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}
func (watchCompression) HandleConn(context.Context, stats.ConnStats) {}

// judgeCompression is the server's part: a message that is not as it says of
// itself is refused, and the answers are compressed if that is asked for.
func judgeCompression(ctx context.Context, expected, wanted *testgrpc.BoolValue) error {
	is := ctx.Value(compressionKey{}).(*atomic.Bool).Load()
	if expected != nil && expected.GetValue() != is {
		return status.Errorf(codes.InvalidArgument, "compressed %v, expected %v", is, expected.GetValue())
	}
	if wanted.GetValue() {
		return grpc.SetSendCompressor(ctx, gzip.Name)
	}
	return nil
}
