// Package http carries one HTTP/1.1 exchange from a client to a target.
//
// A Front is the client's side of a connection: it reads request heads in
// place, and either forwards a request under a Grant or answers it with a
// refusal. One exchange at a time; the buffers are reused from one to the next,
// so that a small exchange costs one read and one write on either side, with no
// allocation.
//
// What may be forwarded, to whom and what is said about the client is decided
// before; this package knows how the bytes travel (RFC 9110, RFC 9112).
package http
