package soak

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

func (w *worker) dialRPC() (testgrpc.TestServiceClient, func()) {
	conn, err := grpc.NewClient("passthrough:///"+w.rpc, grpc.WithTransportCredentials(credentials.NewTLS(w.tls())))
	if err != nil {
		panic(err)
	}
	return testgrpc.NewTestServiceClient(conn), func() { conn.Close() }
}

func (w *worker) asDevice(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, deviceField, w.name)
}

// calls has a few of them under way after one another, on one connection.
func calls(w *worker) (func(context.Context) error, func()) {
	client, end := w.dialRPC()
	return func(ctx context.Context) error {
		for range 3 {
			from, to := w.some()
			want := w.rand.Int32N(64 << 10)
			out, err := client.UnaryCall(w.asDevice(ctx), &testgrpc.SimpleRequest{
				Payload: &testgrpc.Payload{Body: content[from:to]}, ResponseSize: want,
			})
			if err != nil {
				return err
			}
			if got := len(out.GetPayload().GetBody()); got != int(want) {
				return fmt.Errorf("a call was answered with %d bytes, not %d", got, want)
			}
		}
		return nil
	}, end
}

// streams opens a stream that goes both ways for each few messages, or one for all.
func streams(stays bool) func(*worker) (func(context.Context) error, func()) {
	return func(w *worker) (func(context.Context) error, func()) {
		client, end := w.dialRPC()
		var s testgrpc.TestService_FullDuplexCallClient
		finish := func() error {
			if err := s.CloseSend(); err != nil {
				return err
			}
			if out, err := s.Recv(); err != io.EOF {
				return fmt.Errorf("after the end of a stream %d bytes and %v", len(out.GetPayload().GetBody()), err)
			}
			return nil
		}
		act := func(ctx context.Context) (err error) {
			if s == nil {
				lives := ctx
				if stays {
					lives = context.Background()
				}
				if s, err = client.FullDuplexCall(w.asDevice(lives)); err != nil {
					return err
				}
			}
			for range 3 {
				if err := w.pingPong(s); err != nil {
					return err
				}
			}
			if stays {
				return nil
			}
			err = finish()
			s = nil
			return err
		}
		return act, func() {
			if s != nil && w.healthy() {
				if err := finish(); err != nil {
					w.t.Errorf("%s: the end of a stream: %v", w.name, err)
				}
			}
			end()
		}
	}
}

func (w *worker) pingPong(s testgrpc.TestService_FullDuplexCallClient) error {
	from, to := w.some()
	want := w.rand.Int32N(64 << 10)
	// What is wrong with a stream Recv says.
	if err := s.Send(&testgrpc.StreamingOutputCallRequest{
		Payload: &testgrpc.Payload{Body: content[from:to]}, ResponseParameters: []*testgrpc.ResponseParameters{{Size: want}},
	}); err != nil && err != io.EOF {
		return err
	}
	out, err := s.Recv()
	if err != nil {
		return err
	}
	if got := len(out.GetPayload().GetBody()); got != int(want) {
		return fmt.Errorf("a message was answered with %d bytes, not %d", got, want)
	}
	return nil
}
