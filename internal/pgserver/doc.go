// Package pgserver runs a PostgreSQL server that is the caller's own.
//
// It lives in a temporary directory, is reached through a Unix socket alone, and
// leaves nothing behind. It is for tests and measurements: what it keeps is gone
// when it stops.
package pgserver
