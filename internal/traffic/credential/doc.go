// Package credential says whether a request shows what is required of it, beside
// or in the place of a client certificate.
//
// A Requirement is what must hold; Judge holds it against a request. What shows
// that it holds is a Proof, which only this package can make. A scheme is a
// folder: apikey, basic, jwt.
package credential
