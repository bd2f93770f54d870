// Package holder opens the private key of an authority, wherever it is kept.
//
// The key file says where that is. It is a private key in PEM, plain or under a
// passphrase; or one line, the URI of a key in a token (RFC 7512), which never
// leaves it. A token needs a program that was built with the tag pkcs11.
package holder
