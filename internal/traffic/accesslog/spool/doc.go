// Package spool writes lines to a file without ever making their sender wait.
//
// Senders offer events to a bounded queue. One goroutine owns the file: it turns
// events into lines and writes many at once. What does not fit into the queue,
// or cannot be written, is lost and counted.
package spool
