// Package ledger remembers every certificate an authority has signed.
//
// It is one file of JSON lines, only ever appended to: a certificate was
// issued, a certificate was revoked, a revocation list got its number. A line
// counts once its newline is on disk; what a crash left of an unfinished line
// was never acknowledged to anybody and is cut off. A line that is whole but
// not understood is an error, for skipping it could forget a revocation.
//
// A Ledger does no locking of its own: its caller holds the lock of the
// directory (see durable.Lock) around Refresh and the Appends that follow it.
package ledger
