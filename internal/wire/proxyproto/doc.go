// Package proxyproto is the header by which a TCP proxy says whose connection it
// passes on: the PROXY protocol, in version 1 or 2
// (https://www.haproxy.org/download/3.4/doc/proxy-protocol.txt).
//
// A header is read from the socket byte for byte: what comes behind it is still
// there, for whoever reads the connection next. Nothing is wrapped.
package proxyproto
