// Package revocation answers whether a certificate is on its issuer's revocation lists.
//
// A list (RFC 5280 section 5) is read once into a compact sorted set of serial
// numbers, because a fleet's list may have a million entries and
// x509.ParseRevocationList would keep several hundred bytes for each. A list
// speaks for a certificate only if it names the certificate's issuer, that very
// issuer's key signed it, and its scope covers the certificate. What cannot be
// honored exactly (delta lists, indirect lists, lists for some reasons, unknown
// critical extensions) is refused when it is loaded.
package revocation
