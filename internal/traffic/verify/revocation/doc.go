// Package revocation answers whether a certificate is on its issuer's revocation lists.
//
// Package crl reads the lists. A list speaks for a certificate only if it names
// the certificate's issuer, that very issuer's key signed it, and its scope
// covers the certificate. A delta list is read together with the complete list
// that it changes. To be on any list is to be revoked.
package revocation
