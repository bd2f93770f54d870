// Package resolve finds the targets behind a DNS name, and says how long the
// answer is good.
//
// Go's own resolver does the asking, with all that /etc/resolv.conf and
// /etc/hosts say. It does not tell the time to live of what it finds, so the
// answers of the servers are read a second time on their way to it.
package resolve
