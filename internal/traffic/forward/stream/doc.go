// Package stream passes bytes on: those of a client to a target, those of a target to the client.
//
// A Pipe has two halves, one for each direction, and each waits by itself: a half
// that has been silent for a second holds no goroutine and no buffer. Its socket
// waits in the parking lot, and the goroutine that a byte brings up goes on where
// the last one was.
//
// The end of one direction is passed on as the end of that direction: close_notify
// and FIN become each other. A direction that breaks off ends both, with resets, so
// that nobody takes a part for the whole (RFC 8446 section 6.1).
package stream
