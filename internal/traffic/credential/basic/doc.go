// Package basic is the credential that is a user's name with a password (RFC 7617).
//
// Passwords are held against hashes of bcrypt, which is slow on purpose: what was
// verified is remembered, and few are computed at a time.
package basic
