// Package deadline arms socket deadlines rarely.
//
// A proxy bounds every wait on a socket, yet setting a deadline costs a lock
// in the poller plus the move of a timer, several times per request, for a
// timeout that almost never fires. Here a deadline that is already armed is
// left alone as long as it is good enough: not later than the wait may last,
// not sooner than half of it. When it does fire too soon, the wait goes on
// with an exact one, so that the caller's timeouts stay exact.
//
// Lazy is the bookkeeping for one direction of one socket. Conn is a net.Conn
// that uses it for both, with Read and Write that never time out early; put it
// beneath a tls.Conn, whose writes cannot be resumed after a timeout.
package deadline
