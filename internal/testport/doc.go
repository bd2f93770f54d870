// Package testport keeps a port of the loopback interface for a server that a test
// starts later.
package testport
