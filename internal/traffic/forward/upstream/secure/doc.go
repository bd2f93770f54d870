// Package secure makes TLS connections to targets.
//
// A Client is what a target group says about TLS, compiled: how its targets are
// verified, and which certificate is shown to them. It is the same for all
// targets of a group and never changes; other settings, or another certificate
// of ours, are another Client, with TLS sessions of its own, so that no
// resumption crosses from one identity to the next. Handshake proves a target
// by its certificate and returns a Conn, or the countersign.Denial that says
// what was found, what was expected and what to do.
//
// Of TLS 1.3 the client is done before the target has looked at the client's
// certificate: a refusal comes with the first read. Conn finds it there.
package secure
