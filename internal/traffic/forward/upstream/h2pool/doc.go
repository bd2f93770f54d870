// Package h2pool keeps the connections to a target that many exchanges share.
//
// They are those of HTTP/2. A Pool is those to one target, Get returns a Stream
// on one of them, Stream.Release ends the exchange.
package h2pool
