// Package grpcinterop holds a gateway to the interoperability tests of gRPC:
// https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md.
package grpcinterop
