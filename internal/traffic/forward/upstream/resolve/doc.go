// Package resolve finds the targets behind a DNS name.
//
// Go's own resolver does the asking, with all that /etc/resolv.conf and
// /etc/hosts say. It does not tell for how long what it finds is good, so the
// answers of the servers are read a second time on their way to it.
package resolve
