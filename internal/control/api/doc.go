// Package api is the management API: what operators ask of a node, over HTTP.
//
// One file a noun: its operations, with what they need as a small interface. What
// holds for all of them is here once. Who may (guard.go): callers of the same
// machine with the token of data_dir, or over TLS with a certificate of the
// operators' trust store. What is refused is a problem document (RFC 9457) with a
// code. What changes something is in the audit trail before it is done.
package api
