// Package measure reads what processes have used, as Linux accounts for it.
//
// CPU time comes from /proc/PID/stat (proc(5)): utime + stime of a process,
// which include every thread, those that have ended as well. Memory comes from
// /proc/PID/smaps_rollup: the proportional set size, in which a page that
// several processes share counts once for all of them together.
//
// A server is the process that was started with all its descendants, so that
// nginx's workers count and not only the process that watches them.
package measure
