// Package proxied finds out for whom a balancer in front has made a connection,
// from the PROXY header before its first byte.
package proxied
