// Package lint looks at a certificate as it is encoded, before an authority signs it.
//
// Each rule is a file, with the clause that it is from. A rule sees what was
// asked for as well as what came out of the encoder: whatever else is in the
// certificate, nobody wanted.
package lint
