// Package jwt is the credential that is a token which an issuer has signed: RFC 7519
// as RFC 8725 would have it used, bound to a certificate where RFC 8705 section 3
// says so.
package jwt
