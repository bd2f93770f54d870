// Package pbes2 encrypts private keys under a passphrase (RFC 8018 section 6.2).
//
// What it writes is an EncryptedPrivateKeyInfo (RFC 5958 section 3) that openssl
// reads: PBKDF2 with HMAC-SHA-256, then AES-256 in CBC mode. Nothing in that
// form proves that a decrypted key is the one that was encrypted; whoever reads
// one compares it with its certificate.
package pbes2
