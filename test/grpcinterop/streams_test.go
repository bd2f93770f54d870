package grpcinterop

import (
	"context"
	"testing"
	"time"

	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// gRPC-Go measures the bandwidth by a PING for each message that comes while none is
// under way, with a WINDOW_UPDATE before it. That is no flood, however small the
// messages are: neither from the client nor from the target.
func TestAStreamOfManySmallMessages(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := testgrpc.NewTestServiceClient(r.client).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const messages = 5000
	ask := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}}}
	for i := range messages {
		if err := stream.Send(ask); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatalf("the answer to message %d: %v", i, err)
		}
	}
	stream.CloseSend()
}
