// Package origin asks servers for CA bundles or revocation lists.
//
// A server may be slow, wrong, taken over, or answer with somebody else's error
// page: an answer is bounded in time and size, TLS is always verified, no server
// sends us to another one, and whatever fails says what was wrong.
package origin
