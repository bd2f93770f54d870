// Package verify holds a presented certificate chain against a trust store.
//
// Its answer is a Chain, a proof that only this package can make, or a
// countersign.Denial that names what was wrong for the operator. A Store is
// immutable: a changed CA bundle or revocation list is a new Store with a new
// generation. The trust store's rules are AWS's for mutual TLS on an
// Application Load Balancer; the purpose rules are s2n-tls's, the library AWS
// uses.
package verify
