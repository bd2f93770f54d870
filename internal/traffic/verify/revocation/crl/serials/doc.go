// Package serials keeps a large set of revoked serial numbers in little memory.
//
// The records lie one behind the other in a few pieces of memory without
// pointers, in the order in which they came, and a hash table of four bytes a
// slot leads to them. A million serial numbers of 16 octets take 30 MB; nothing
// is copied or sorted when the set is complete, so that making it takes hardly
// more than keeping it.
package serials
