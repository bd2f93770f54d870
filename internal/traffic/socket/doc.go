// Package socket has TCP connections that the scheduler is not told of.
//
// The net package announces each system call to the Go runtime, whose watchman
// (sysmon) is woken by it when nothing runs, and then looks about every twenty
// microseconds. A proxy is idle for a moment between any two packets: what of a
// connection's life is announced, accepting, making, shutting and closing,
// was a tenth of all CPU time of short ones (see package direct for its bytes).
//
// Who waits for a socket, until when, and what becomes of that when it is closed
// are left to the standard library all the same: beneath each connection is an
// *os.File, which has the same poller, deadlines and counted descriptor as a
// *net.TCPConn. A descriptor can therefore not be used for another connection
// while anybody still calls with it.
//
// That is for Linux. Elsewhere, and for addresses that have to be looked up, the
// connections are the net package's.
package socket
