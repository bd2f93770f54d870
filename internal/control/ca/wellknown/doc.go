// Package wellknown publishes what authorities say of certificates, by plain HTTP.
//
// Whoever is to check a certificate cannot be asked to check another one first
// (RFC 5280 section 8), and what is published is signed. Below
// /.well-known/countersign/:
//
//	crl/NAME/1.crl, crl/NAME/root.crl   revocation list of an issuing authority, the root (DER)
//	crl/NAME.pem                        the lists of all issuing authorities of NAME
//	ca/NAME/1.cer, ca/NAME/root.cer     certificate of an issuing authority, the root (DER)
//	ca/NAME.pem                         all of them
//	ocsp/NAME                           the responder (RFC 6960 appendix A)
package wellknown
