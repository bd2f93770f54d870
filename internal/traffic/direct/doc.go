// Package direct makes a socket's system calls without telling the scheduler.
//
// The net package announces each read or write of a socket to the Go runtime,
// which is right for calls that may block. The runtime has a watchman (sysmon)
// for them: it sleeps while nothing runs, the next announced call wakes it, and
// it then looks every twenty microseconds, for a millisecond at least, whether a
// call takes long; if so it gives the processor to another thread. A proxy's
// sockets never block, but it is idle for a moment between any two exchanges: so
// the watchman is on its feet all the time. With small exchanges that was a
// tenth of all CPU time, for nothing.
//
// A single announced call in each exchange is enough to wake the watchman; the
// gain is there only when all of them go this way, and those of a connection's
// beginning and end too (package socket).
//
// For the same reason what crypto/tls writes record by record can be gathered:
// a large answer then costs one call for four records (TLS).
//
// The price is that whoever stops the world waits for a call under way. Calls
// are bounded for that (socket.Transfer).
package direct
