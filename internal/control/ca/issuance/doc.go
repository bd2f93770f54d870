// Package issuance signs only certificates whose template has passed its checks.
//
// A certificate is made in two steps. Prepare builds the template, encodes it
// once with a throwaway key, checks what came out of the encoder against RFC
// 5280 plus the profile, then returns a *Checked, which nothing else can make.
// Issue demands one, takes it once, signs with the authority's key. Thereby
// nothing that was not looked at is ever signed: a signature is a statement
// that cannot be taken back.
package issuance
