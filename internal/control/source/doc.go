// Package source keeps good copies of what trust stores fetch.
//
// A source is an https:// or s3:// URL with a CA bundle or a revocation list. A
// Keeper asks for each again and again, but puts nothing into force: what is new
// is offered, whoever compiles it settles which of the offers are good, and what
// was good before is kept, in memory and in a directory, for when the server
// cannot be reached or has something that is of no use. Content is never held in
// memory: a Copy is an open file.
package source
