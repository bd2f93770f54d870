// Package signing has the keys under which a node states who its clients are.
//
// There are three kinds: the one in use, the next, which is published for a whole
// rotation before it signs anything, so that whoever keeps a copy of the set knows
// it in time, and those retired, of which only the public half is kept until
// everything that they have signed has expired.
//
// Each node has its own keys: none leaves the machine, and the kid of a token says
// which node has signed it. Backends of several nodes ask each of them.
package signing
