// Package constraint holds crypto/x509 to what OpenSSL makes of name
// constraints (RFC 5280 section 4.2.1.10) where it would let pass more.
//
// crypto/x509 looks at the subject alternative names alone, ignores constraints
// of kinds that it does not know when they are not marked critical, and reads
// over minimum and maximum.
package constraint
