// Package serials keeps a large set of revoked serial numbers in little memory.
//
// The records lie in a few pieces of memory without pointers, ordered by hash, so
// that a look-up goes to one place. They are put in order where they are: making
// a set takes hardly more memory than keeping it, which for a million serial
// numbers of 16 octets is 22 MB.
package serials
