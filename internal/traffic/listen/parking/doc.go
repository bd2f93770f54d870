// Package parking keeps silent connections without a goroutine.
//
// A fleet of devices is mostly idle: what a connection costs while nothing
// happens on it decides how many fit into a machine. A parked connection is a
// socket in one epoll set plus an entry in one heap of deadlines. A byte from
// the client, or the deadline, brings up a goroutine for it again.
//
// Elsewhere than on Linux a goroutine waits in its place, with no buffer.
package parking
