// Package load is the client side of a comparison, in a process of its own.
//
// The process reads a Spec, connects, warms up, says "ready", waits for "go",
// does the work, answers with a Result while its connections are still open, and
// ends when its input does. So whoever started it can look at the server right
// before and right after the work, and while the connections are open.
//
// Each kind of work has a file: keepalive.go, http2.go, handshake.go, paced.go, idle.go;
// kinds lists them.
package load
