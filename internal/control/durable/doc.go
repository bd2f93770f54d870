// Package durable writes files that a crash leaves either whole or absent.
//
// A file is written beside its final name, synced, renamed over it, then the
// directory is synced: a reader sees the old content or the new, never half of
// it, and what a function has reported as written survives a power cut.
package durable
