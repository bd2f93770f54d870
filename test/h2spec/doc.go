// Package h2spec holds the HTTP/2 of a running gateway to h2spec, the
// conformance suite for RFC 9113 with RFC 7541.
package h2spec
