// Package http2 is one HTTP/2 connection, either side of it (RFC 9113).
//
// It knows the protocol: frames, streams, flow control, header compression and
// what a peer may not do. It knows no policy: not where a request goes, nor who
// sent it. Heads are http1.Request and http1.Response, so that a message is
// judged by the same rules in whichever version of HTTP it came.
//
// A Conn is read by the goroutine that calls Serve. That goroutine never waits
// for a write: two peers that did would wait for each other. Each Stream is used
// by its owner, whose goroutines wait for what arrives and write for themselves;
// whoever writes to the socket takes along what others have queued meanwhile.
package http2
