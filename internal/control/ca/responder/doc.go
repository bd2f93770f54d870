// Package responder answers OCSP requests about the certificates of an authority (RFC 6960).
//
// The issuing authority's key is not touched by strangers' requests: answers are
// signed with a key that lives in memory, under a certificate of the issuing
// authority for this purpose, made anew every few days (section 4.2.2.2). They
// follow the profile for many clients and caches, RFC 5019: one certificate a
// request, no nonce, answers good for an hour.
package responder
