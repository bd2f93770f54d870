// Package pool keeps the connections to a target that one exchange at a time has.
//
// They carry HTTP/1.1, or bytes whatever they mean. A Pool is those to one
// target, Get and Dial take a Conn out of it for an exchange, Conn.Release ends
// that. With an idle connection at hand neither allocates.
package pool
