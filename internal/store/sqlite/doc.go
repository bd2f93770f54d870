// Package sqlite is a store in one file.
//
// One connection writes, the others read what was last committed (WAL): no reader
// waits for a writer, nor the reverse.
package sqlite
