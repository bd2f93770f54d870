// Package crl reads certificate revocation lists (RFC 5280 section 5).
//
// A fleet's list may have a million entries, of which x509.ParseRevocationList
// would keep several hundred bytes each, beside the file. Here a list is read
// once from front to back through a window of 64 KiB: what was signed is hashed
// on the way, serial numbers with date and reason go into a compact set, and
// nothing else is kept. What cannot be honored exactly (indirect lists, lists
// for some reasons, unknown critical extensions) is refused.
package crl
