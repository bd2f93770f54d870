// Package ocsp says what an issuer's OCSP responder says of a certificate (RFC 6960).
//
// It makes requests and checks responses, whoever carries them, and remembers
// the answers for decisions, which read what is there and never wait. A response
// counts only if the issuer signed it, or somebody whom the issuer itself
// certified for nothing but that; if it is about this very certificate; and if it
// is of now.
package ocsp
