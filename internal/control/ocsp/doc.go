// Package ocsp asks OCSP responders about clients' certificates (RFC 6960 appendix A).
//
// A responder may be slow, dead, wrong or hostile, and clients must not suffer
// more than the configuration says: each request is bounded in time and size,
// there is one at a time for a certificate, a responder that fails is left alone
// for a while, and answers about clients that are connected are renewed before
// they end. What the answers mean is for package revocation/ocsp.
package ocsp
