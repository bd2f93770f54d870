// Package servercert loads the certificate that a listener proves its own
// identity with.
package servercert
