// Package ledger remembers every certificate an authority has signed.
//
// A Ledger is told that a certificate was issued, that one was revoked, that a
// revocation list is about to be signed; what it has acknowledged it never
// forgets. A File is one of JSON lines, only ever appended to. A line counts
// once its newline is on disk; what a crash left of an unfinished line was never
// acknowledged to anybody, so it is cut off. A line that is whole but not
// understood is an error, for skipping it could forget a revocation.
package ledger
