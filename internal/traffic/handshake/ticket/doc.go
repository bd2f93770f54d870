// Package ticket seals TLS sessions for the client to keep, bound to what they
// were admitted under.
package ticket
