// Package points finds the revocation lists that clients' certificates name.
//
// A Book remembers, for each trust store, the distribution points that were
// needed, with the authorities whose certificates name them, in memory and in a
// file. It fetches nothing and puts nothing into force: it has a list asked for,
// lets the handshake that needs it wait a while, and is told what came of it.
package points
