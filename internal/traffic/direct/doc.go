// Package direct makes a socket's system calls without telling the scheduler.
//
// The net package announces each read or write of a socket to the Go runtime,
// which is right for calls that may block: the runtime's watchman (sysmon) wakes
// every twenty microseconds while calls are under way, takes the processor from
// whoever has been in one for longer, and wakes another thread for it. A proxy's
// sockets never block, and a write on a fast network takes about that long: so
// the watchman runs all the time, and every few writes cost a futex, a switch of
// threads and a goroutine that goes on elsewhere. With small exchanges that was
// a fifth of all CPU time.
//
// The price is that whoever stops the world waits for a call under way. Calls
// are bounded for that (most).
package direct
