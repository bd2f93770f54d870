// Package http1 reads HTTP/1.1 messages as RFC 9112 writes them.
//
// A message head is parsed in place: every name and value is a slice of the
// caller's buffer, valid for as long as the caller leaves that buffer alone. A
// chunked body is decoded piece by piece into slices of the input. There is no
// I/O here, no policy, no map and, once a Request or Response has been used a
// few times, no allocation per message.
//
// It is strict. Where RFC 9112 lets a recipient repair a message (a bare LF as
// line end, folded lines, repeated Content-Length, Transfer-Encoding beside
// Content-Length), this package returns an *Error, because two parties that
// repair differently are how requests are smuggled.
package http1
