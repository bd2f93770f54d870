// Package pemscan reads a PEM file line by line.
//
// encoding/pem skips whatever it does not understand, which in a trust store
// hides a certificate with a broken line, or a private key. Here every line of
// the file belongs to an Element: a block, or something that a strict reader
// may object to, with its line number.
package pemscan
